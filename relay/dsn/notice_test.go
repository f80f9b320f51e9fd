package dsn

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadTakesWhatComposeWrites(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		message, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n, err := Read(bytes.NewReader(message))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var out bytes.Buffer
		if k, err := n.WriteTo(&out); err != nil || k != n.Size() || !bytes.Equal(out.Bytes(), message) {
			t.Errorf("%s: came out changed (%v)", file, err)
		}
	}
}

// Whatever is not just a report is no notice: content must not leave this way.
func TestReadRefuses(t *testing.T) {
	const head = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
	const human, status = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n", "--b\r\nContent-Type: message/delivery-status\r\n\r\nx\r\n"
	for name, message := range map[string]string{
		"empty":             "",
		"a statement":       "Subject: x\r\nContent-Type: text/plain\r\n\r\nyour balance\r\n",
		"no type":           "Subject: x\r\n\r\n" + human + status + "--b--\r\n",
		"two types":         "Content-Type: text/plain\r\n" + head + human + status + "--b--\r\n",
		"one part":          head + human + "--b--\r\n",
		"whole message":     head + human + status + "--b\r\nContent-Type: message/rfc822\r\n\r\nx\r\n--b--\r\n",
		"fourth part":       head + human + status + "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nx\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
		"attachment first":  head + "--b\r\nContent-Type: application/pdf\r\n\r\nx\r\n" + status + "--b--\r\n",
		"cut":               head + human + "--b\r\nContent-Type: message/delivery-status\r\n\r\nx",
		"far too large":     head + human + strings.Repeat("x", maxNotice),
		"other report type": strings.Replace(head, "delivery-status", "disposition-notification", 1) + human + status + "--b--\r\n",
	} {
		if _, err := Read(strings.NewReader(message)); !errors.Is(err, ErrNotice) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read(strings.NewReader(head + human + status + "--b--\r\n")); err != nil {
		t.Errorf("the smallest report: %v", err)
	}
}
