package enrol_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sealpost/directory/enrol"
	"sealpost/directory/harvest"
	"sealpost/directory/mailer"
	"sealpost/directory/store"
	"sealpost/internal/address"
	"sealpost/internal/testkit"
	"sealpost/lookup"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	mailbox = "keys@directory.example"
	anna    = "anna@example.org"
)

var entity = []byte("Content-Type: text/plain\r\n\r\nplease learn this\r\n")

// A world is a mailbox with a real database behind it, and a mail server that
// takes its answers.
type world struct {
	*testing.T
	ca      *testkit.CA
	store   *store.Store
	harvest *harvest.Harvester
	server  *enrol.Server
	addr    string
	sink    *testkit.Sink
	trouble error // of the database
}

// Learn is what directory.Directory does.
func (w *world) Learn(ctx context.Context, message io.Reader) (harvest.Learned, store.Added, error) {
	learned, err := w.harvest.Read(ctx, message)
	if err != nil {
		return learned, store.Added{}, err
	}
	if w.trouble != nil {
		return learned, store.Added{}, w.trouble
	}
	added, err := w.store.Add(ctx, []store.New{{
		Cert: learned.Certificate, Addresses: []address.Address{learned.Address}, Origin: store.OriginHarvest, Supersede: true,
	}})
	if err != nil {
		return learned, store.Added{}, err
	}
	return learned, added[0], nil
}

// newWorld starts one; change, if not nil, has the last word on its options.
func newWorld(t *testing.T, change func(*enrol.Options)) *world {
	t.Helper()
	w := &world{T: t, ca: testkit.NewCA(t)}
	var err error
	if w.store, err = store.Open(t.Context(), store.Options{
		URL: "sqlite:" + filepath.Join(t.TempDir(), "d.db"), HoldKeyChange: true, Log: slog.New(slog.DiscardHandler),
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	if w.harvest, err = harvest.New(harvest.Options{Trust: lookup.TrustOptions{Roots: []*x509.Certificate{w.ca.Cert}}}); err != nil {
		t.Fatal(err)
	}
	w.sink = testkit.StartSink(t, testkit.SinkOptions{})
	self, err := address.Parse(mailbox)
	if err != nil {
		t.Fatal(err)
	}
	opts := enrol.Options{
		Mailbox: self, Hostname: "directory.example", Name: "The Bank", Learner: w,
		Sender: &mailer.Mailer{Address: w.sink.Addr, Hostname: "directory.example"},
	}
	if change != nil {
		change(&opts)
	}
	w.server = enrol.New(opts)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		if err := w.server.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, enrol.ErrClosed) {
			t.Error(err)
		}
	})
	return w
}

// mail is signed by somebody; more header fields can be named.
func (w *world) mail(id *testkit.Identity, fields ...string) []byte {
	header := "From: Anna <" + anna + ">\r\nTo: " + mailbox + "\r\nMessage-ID: <1@example.org>\r\nSubject: secret subject\r\n" + strings.Join(fields, "")
	d := testkit.SignedData{Content: entity, Detached: true, Signs: []testkit.Signature{{ID: id}}}
	return d.Mail(w, header)
}

func (w *world) send(from string, message []byte) error {
	return smtp.SendMail(w.addr, nil, from, []string{mailbox}, message)
}

// answers waits for the nth answer and gives its header and text.
func (w *world) answer(n int) (testkit.Received, mail.Header, string) {
	w.Helper()
	got := w.sink.Wait(w, n)[n-1]
	m, err := mail.ReadMessage(bytes.NewReader(got.Raw))
	if err != nil {
		w.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		w.Fatal(err)
	}
	return got, m.Header, string(text)
}

// settled waits until so many messages have been dealt with.
func (w *world) settled(n uint64) enrol.Stats {
	w.Helper()
	testkit.Poll(w, fmt.Sprintf("%d messages", n), func() bool { return w.server.Stats().Messages >= n })
	return w.server.Stats()
}

// TestLearnsAndAnswers is the whole of it: learned, learned again, held.
func TestLearnsAndAnswers(t *testing.T) {
	w := newWorld(t, nil)
	id := w.ca.For(t, anna)
	if err := w.send(anna, w.mail(id)); err != nil {
		t.Fatal(err)
	}
	got, h, text := w.answer(1)
	if got.From != "" || len(got.To) != 1 || got.To[0].Address != anna {
		t.Errorf("from %q to %v", got.From, got.To)
	}
	for name, want := range map[string]string{
		"Auto-Submitted": "auto-replied", "In-Reply-To": "<1@example.org>", "References": "<1@example.org>", "From": "<" + mailbox + ">", "To": "<" + anna + ">",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q", name, h.Get(name))
		}
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject")); err != nil || subject != "Your certificate has been learned" {
		t.Errorf("%q, %v", subject, err)
	}
	if !strings.Contains(text, "The Bank has learned your certificate") || !strings.Contains(text, fmt.Sprintf("%x", fingerprint(id))) {
		t.Errorf("%s", text)
	}
	found, err := w.store.Lookup(t.Context(), []string{anna})
	if err != nil || len(found[0]) != 1 || !bytes.Equal(found[0][0].Cert.Raw, id.Cert.Raw) {
		t.Fatalf("%v, %v", found, err)
	}
	if err := w.send(anna, w.mail(id)); err != nil {
		t.Fatal(err)
	}
	if _, _, text := w.answer(2); !strings.Contains(text, "knew this certificate already") {
		t.Errorf("%s", text)
	}
	next := w.ca.Issue(t, testkit.Leaf{Addresses: []string{anna}, Key: "p256"})
	if err := w.send(anna, w.mail(next)); err != nil {
		t.Fatal(err)
	}
	if _, _, text := w.answer(3); !strings.Contains(text, "until a person at The Bank has confirmed") {
		t.Errorf("%s", text)
	}
	if s := w.settled(3); s.Learned != 3 || s.Refused != 0 || s.Withheld != 0 {
		t.Errorf("%+v", s)
	}
}

func fingerprint(id *testkit.Identity) [32]byte { return sha256Sum(id.Cert.Raw) }

// TestRefusedAndTold: the sender hears why nothing was learned, and nothing of
// his message comes back.
func TestRefusedAndTold(t *testing.T) {
	w := newWorld(t, nil)
	bob := w.ca.For(t, "bob@example.org")
	canary := testkit.NewCanary(t)
	for n, test := range []struct {
		message []byte
		token   string
	}{
		{[]byte("From: " + anna + "\r\nSubject: " + string(canary) + "\r\n\r\n" + string(canary) + "\r\n"), "message-not-signed"},
		{w.mail(bob, "X-Canary: "+string(canary)+"\r\n"), "certificate-address-mismatch"},
		{bytes.Replace(w.mail(w.ca.For(t, anna)), []byte("please learn this"), []byte(canary), 1), "signature-digest-mismatch"},
	} {
		if err := w.send(anna, test.message); err != nil {
			t.Fatal(err)
		}
		got, _, text := w.answer(n + 1)
		if !strings.Contains(text, "(reason: "+test.token+")") || !strings.Contains(text, "could not learn") {
			t.Errorf("%s", text)
		}
		canary.Absent(t, "an answer", got.Raw)
	}
	if s := w.settled(3); s.Learned != 0 || s.Refused != 3 {
		t.Errorf("%+v", s)
	}
	if n, err := w.store.Show(t.Context(), anna); err != nil || len(n) != 0 {
		t.Errorf("%v, %v", n, err)
	}
}

// TestSilence: RFC 3834 says who is not answered. The certificate is learned all
// the same.
func TestSilence(t *testing.T) {
	w := newWorld(t, nil)
	id := w.ca.For(t, anna)
	messages := uint64(0)
	for _, test := range []struct{ from, field string }{
		{"", ""},
		{"eve@example.net", ""},
		{mailbox, ""},
		{"owner-list@example.org", ""},
		{"MAILER-DAEMON@example.org", ""},
		{anna, "Auto-Submitted: auto-generated\r\n"},
		{anna, "Auto-Submitted: auto-replied; x=y\r\n"},
		{anna, "Precedence: bulk\r\n"},
		{anna, "List-Id: <x.example>\r\n"},
		{anna, "List-Unsubscribe: <mailto:x@example.org>\r\n"},
		{anna, "X-Auto-Response-Suppress: All\r\n"},
		{anna, "X-Loop: keys\r\n"},
		{anna, strings.Repeat("Received: by x; Mon, 1 Jan 2026 00:00:00 +0000\r\n", 50)},
	} {
		if err := w.send(test.from, w.mail(id, test.field)); err != nil {
			t.Fatalf("%+v: %v", test, err)
		}
		messages++
	}
	if err := w.send(anna, []byte("From: "+anna+", eve@example.net\r\n\r\nunclear\r\n")); err != nil {
		t.Fatal(err)
	}
	s := w.settled(messages + 1)
	if s.Learned != messages || s.Withheld != messages+1 || s.Answers != 0 {
		t.Errorf("%+v", s)
	}
	if err := w.send(anna, w.mail(id, "Auto-Submitted: no\r\n")); err != nil {
		t.Fatal(err)
	}
	w.answer(1) // and it is the first one
}

// TestLimits: one address is not flooded with answers, and neither is the world.
func TestLimits(t *testing.T) {
	w := newWorld(t, func(o *enrol.Options) { o.Limits.PerSender, o.Limits.PerHour = 2, 3 })
	for range 4 {
		if err := w.send(anna, []byte("From: "+anna+"\r\n\r\nx\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		other := fmt.Sprintf("other%d@example.org", i)
		if err := w.send(other, []byte("From: "+other+"\r\n\r\nx\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	w.sink.Wait(t, 3)
	if s := w.settled(7); s.Withheld != 4 {
		t.Errorf("%+v", s)
	}
}

// TestDoor: other mailboxes, senders that are none, sizes.
func TestDoor(t *testing.T) {
	w := newWorld(t, func(o *enrol.Options) { o.MaxSize = 100_000 })
	code := func(err error) int {
		var e *textproto.Error
		if errors.As(err, &e) {
			return e.Code
		}
		return 0
	}
	c, err := smtp.Dial(w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail(anna); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"postmaster@directory.example", "keys@example.org", "keys", "\"keys@directory.example> X=\"@x.example"} {
		if got := code(c.Rcpt(to)); got/100 != 5 {
			t.Errorf("%s: %d", to, got)
		}
	}
	if err := c.Rcpt("KEYS@Directory.Example"); err != nil {
		t.Error(err)
	}
	for _, from := range []string{"a%b@example.org", "\"a@b\"@example.org"} {
		if err := c.Reset(); err != nil {
			t.Fatal(err)
		}
		if got := code(c.Mail(from)); got != 553 {
			t.Errorf("%s: %d", from, got)
		}
	}
	large := []byte("From: " + anna + "\r\n\r\n" + strings.Repeat("x\r\n", 50_000))
	if got := code(w.send(anna, large)); got != 552 {
		t.Errorf("too large: %d", got)
	}
	if err := w.send(anna, []byte("From: "+anna+"\r\n\r\n"+strings.Repeat("x", 50_000)+"\r\n")); err != nil {
		t.Errorf("a long line: %v", err)
	}
	w.trouble = errors.New("the database is away")
	if got := code(w.send(anna, w.mail(w.ca.For(t, anna)))); got != 451 {
		t.Errorf("trouble: %d", got)
	}
	if s := w.server.Stats(); s.Deferred != 1 || s.Learned != 0 {
		t.Errorf("%+v", s)
	}
}

// TestAnswersAreTriedAgain, and dropped in the end.
func TestAnswersAreTriedAgain(t *testing.T) {
	w := newWorld(t, func(o *enrol.Options) { o.Limits.Retry = time.Millisecond })
	if err := w.send("451@example.org", []byte("From: 451@example.org\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	testkit.Poll(t, "the answer to be dropped", func() bool { return w.server.Stats().Lost == 1 })
	if n := w.sink.Connections(); n != 3 {
		t.Errorf("%d attempts", n)
	}
}
