package testkit

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A CertStore is a certificate store over HTTP (RFC 4387), written in another
// language than Sealpost and sharing nothing with it.
type CertStore struct {
	URL string // of the store, without a query
	dir string
	cmd *exec.Cmd
}

// StartCertStore starts an empty store that runs until the test ends.
func StartCertStore(t testing.TB) *CertStore {
	t.Helper()
	Need(t, "python3", "timeout")
	addr := FreeAddr(t)
	s := &CertStore{URL: "http://" + addr + "/certificates/search.cgi", dir: privateDir(t, "certstore")}
	s.Put(t, "../store.py", []byte(certStoreProgram))
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command("timeout", "--foreground", cageLifetime, "python3", filepath.Join(s.dir, "store.py"), port, filepath.Join(s.dir, "certs"))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(t) })
	WaitPort(t, addr)
	return s
}

// Put stores a file: ADDRESS/ANY.der is a certificate of the address, and
// ADDRESS/bundle.p7c all of them, ready-made.
func (s *CertStore) Put(t testing.TB, name string, data []byte) {
	t.Helper()
	path := filepath.Join(s.dir, "certs", name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Queries are the request lines so far, each with the number of its
// connection in front.
func (s *CertStore) Queries(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "certs", "queries"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// Stop ends the server.
func (s *CertStore) Stop(t testing.TB) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGCONT)
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	_ = s.cmd.Wait() // ended by our signal, which Wait calls an error
	s.cmd = nil
}

// Pause makes the server take connections and say nothing, until it ends.
func (s *CertStore) Pause(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitStopped(t, s.cmd.Process.Pid)
}

const certStoreProgram = `
import glob, os, sys, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with open(os.path.join(sys.argv[2], "queries"), "a") as log:
            log.write("%d %s\n" % (self.client_address[1], self.path))
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query, strict_parsing=True)
        if url.path != "/certificates/search.cgi" or len(query) != 1:
            return self.answer(400, "text/plain", b"one attribute, please")
        name = (query.get("uri") or query.get("email") or [""])[0]
        folder = os.path.join(sys.argv[2], name)
        if not name or "/" in name or not os.path.isdir(folder):
            return self.answer(404, "text/plain", b"none")
        bundle = os.path.join(folder, "bundle.p7c")
        if os.path.exists(bundle):
            return self.answer(200, "application/pkcs7-mime; smime-type=certs-only", open(bundle, "rb").read())
        certs = [open(f, "rb").read() for f in sorted(glob.glob(os.path.join(glob.escape(folder), "*.der")))]
        if len(certs) == 1:
            return self.answer(200, "application/pkix-cert", certs[0])
        body = b"a preamble\r\n"
        for c in certs:
            body += b"--next part\r\nContent-Type: application/pkix-cert\r\n\r\n" + c + b"\r\n"
        self.answer(200, 'multipart/mixed; boundary="next part"', body + b"--next part--\r\n")

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Store).serve_forever()
`
