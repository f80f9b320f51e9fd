package dsn

import (
	"bytes"
	"encoding/json"
	"net/smtp"
	"os/exec"
	"strings"
	"testing"

	"sealpost/internal/testkit"
)

// What Python's email package reads is what go-message reads.
func TestPythonReadsIt(t *testing.T) {
	testkit.Need(t, "python3")
	for name, report := range reports {
		if report(t).SMTPUTF8() {
			continue // it does not know RFC 6532
		}
		raw := compose(t, report(t))
		cmd := exec.Command("python3", "testdata/read.py")
		cmd.Stdin = bytes.NewReader(raw)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, err.(*exec.ExitError).Stderr)
		}
		var py struct {
			To         []string
			ReportType string `json:"report_type"`
			Kinds      []string
			Text       string
			Status     []map[string]string
			Returned   string
			Defects    []string
		}
		if err := json.Unmarshal(out, &py); err != nil {
			t.Fatal(err)
		}
		n := read(t, raw)
		if len(py.Defects) > 0 || py.ReportType != "delivery-status" || len(py.To) != 1 || py.To[0] != report(t).To.String() {
			t.Errorf("%s: defects %q, report type %q, to %q", name, py.Defects, py.ReportType, py.To)
		}
		if strings.Join(py.Kinds, " ") != strings.Join(n.kinds, " ") || !sameText(py.Text, n.bodies[0]) {
			t.Errorf("%s: read as %q:\n%s", name, py.Kinds, py.Text)
		}
		if py.Kinds[1] == "message/delivery-status" {
			sameStatus(t, name, py.Status, n)
		}
		if strings.HasPrefix(py.Kinds[2], "text/") && isASCII(n.bodies[2]) && !sameText(py.Returned, n.bodies[2]) {
			t.Errorf("%s: returned\n%s", name, py.Returned)
		}
	}
}

// sameText compares texts whose lines may end in LF.
func sameText(a, b string) bool {
	return strings.ReplaceAll(a, "\r\n", "\n") == strings.ReplaceAll(b, "\r\n", "\n")
}

func sameStatus(t *testing.T, name string, py []map[string]string, n notification) {
	t.Helper()
	if len(py) != len(n.each)+1 {
		t.Fatalf("%s: %d groups, want %d", name, len(py), len(n.each)+1)
	}
	for i, h := range n.each {
		fields := h.Fields()
		if len(py[i+1]) != fields.Len() {
			t.Errorf("%s: group %d has %v", name, i, py[i+1])
		}
		for fields.Next() {
			for key, value := range py[i+1] {
				if strings.EqualFold(key, fields.Key()) && value != fields.Value() {
					t.Errorf("%s: %s is %q, want %q", name, key, value, fields.Value())
				}
			}
		}
	}
}

// A real Postfix takes each notification from the null sender, and what it
// delivers is what it took.
func TestPostfixDeliversItUnchanged(t *testing.T) {
	p := testkit.StartPostfix(t, testkit.PostfixOptions{})
	sent := 0
	for name, report := range reports {
		r := report(t)
		r.To = parse(t, "sender@bank.example") // the sink's LMTP takes no address beyond ASCII from Postfix
		raw := compose(t, r)
		c, err := smtp.Dial(p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if ok, _ := c.Extension("SMTPUTF8"); r.SMTPUTF8() && !ok {
			t.Fatal("Postfix does not offer SMTPUTF8")
		}
		send(t, c, r.To.String(), raw)
		sent++
		box := p.WaitDelivered(t, sent)
		got := box[len(box)-1]
		if got.From != "" || got.To != r.To.String() || !bytes.HasSuffix(got.Raw, raw) {
			t.Errorf("%s: delivered from %q to %q:\n%s", name, got.From, got.To, got.Raw)
		}
	}
}

// send hands one message in; net/smtp asks for 8BITMIME and SMTPUTF8 where
// they are offered.
func send(t *testing.T, c *smtp.Client, to string, raw []byte) {
	t.Helper()
	defer c.Close()
	if err := c.Mail(""); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(to); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
}
