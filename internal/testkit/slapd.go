package testkit

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// SlapdOptions say what a directory has beyond the plain one.
type SlapdOptions struct {
	TLS       *Identity // its certificate: ldaps:, and StartTLS at the ldap: address
	ClientCA  *CA       // client certificates are verified by it, and map to entries below ou=people
	Config    string    // further lines of slapd.conf, before the database
	Database  string    // further lines of slapd.conf, for the database
	ACL       string    // access rules; default: everybody reads everything but passwords
	KeepEmpty bool      // do not make the base entries
}

// What every test directory is called.
const (
	SlapdBase     = "dc=example,dc=org"
	SlapdPeople   = "ou=people,dc=example,dc=org"
	SlapdReader   = "cn=reader,dc=example,dc=org" // may bind with SlapdPassword
	SlapdPassword = "reader's secret"

	slapdRoot         = "cn=root,dc=example,dc=org"
	slapdRootPassword = "root's secret"
)

// A Slapd is a private instance of OpenLDAP's server.
type Slapd struct {
	URL, TLSURL, SocketURL string // ldap:, ldaps: (with TLS only), ldapi:

	dir  string
	args []string
	cmd  *exec.Cmd
}

// StartSlapd starts a directory that runs until the test ends.
func StartSlapd(t testing.TB, opts SlapdOptions) *Slapd {
	t.Helper()
	Need(t, "slapd", "ldapadd", "timeout")
	s := &Slapd{dir: privateDir(t, "slapd")}
	socket := filepath.Join(s.dir, "ldapi")
	s.URL, s.SocketURL = "ldap://"+FreeAddr(t), "ldapi://"+url.PathEscape(socket)
	listen := s.URL + "/ " + s.SocketURL
	tls := ""
	if opts.TLS != nil {
		s.TLSURL = "ldaps://" + FreeAddr(t)
		listen += " " + s.TLSURL + "/"
		cert, key := opts.TLS.WriteFiles(t, s.dir, "server")
		tls = "TLSCertificateFile " + cert + "\nTLSCertificateKeyFile " + key + "\n"
	}
	if opts.ClientCA != nil {
		ca := filepath.Join(s.dir, "ca.pem")
		s.write(t, "ca.pem", string(opts.ClientCA.PEM))
		tls += "TLSCACertificateFile " + ca + "\nTLSVerifyClient try\n"
	}
	if opts.ACL == "" {
		opts.ACL = "access to attrs=userPassword by anonymous auth by * none\naccess to * by * read\n"
	}
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(t, "slapd.conf", strings.NewReplacer("$DIR", s.dir, "$TLS", tls, "$CONFIG", opts.Config, "$DATABASE", opts.Database, "$ACL", opts.ACL).Replace(slapdConfig))
	s.args = []string{"--foreground", cageLifetime, sbin("slapd"), "-d", "none", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", listen}
	s.Start(t)
	t.Cleanup(func() { s.Stop(t) })
	if !opts.KeepEmpty {
		s.Add(t, slapdEntries)
	}
	return s
}

const slapdConfig = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile $DIR/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
authz-regexp "^gidNumber=.*,cn=peercred,cn=external,cn=auth$" "cn=reader,dc=example,dc=org"
authz-regexp "^cn=([^,]+)$" "cn=$1,dc=example,dc=org"
$TLS
$CONFIG
database mdb
suffix "dc=example,dc=org"
rootdn "cn=root,dc=example,dc=org"
rootpw "root's secret"
directory $DIR/db
maxsize 67108864
dbnosync
index mail eq
$DATABASE
$ACL
`

const slapdEntries = `dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: cn=reader,dc=example,dc=org
objectClass: person
cn: reader
sn: reader
userPassword: reader's secret
`

func (s *Slapd) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Start starts the server again after Stop, with all that it had.
func (s *Slapd) Start(t testing.TB) {
	t.Helper()
	var log bytes.Buffer
	s.cmd = exec.Command("timeout", s.args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a signal reaches the server itself
	s.cmd.Stdout, s.cmd.Stderr = &log, &log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	Poll(t, "slapd at "+s.URL, func() bool { return s.run("ldapwhoami", "-x") == nil })
}

// Stop ends the server; its data stays.
func (s *Slapd) Stop(t testing.TB) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	s.signal(t, syscall.SIGCONT)
	s.signal(t, syscall.SIGTERM)
	_ = s.cmd.Wait() // ended by our signal, which Wait calls an error
	s.cmd = nil
}

// Pause makes the server take connections and say nothing, until Resume.
func (s *Slapd) Pause(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	waitStopped(t, s.cmd.Process.Pid)
}

// Resume ends Pause.
func (s *Slapd) Resume(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Slapd) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, sig); err != nil {
		t.Fatal(err)
	}
}

// run runs one of OpenLDAP's own clients over the Unix socket.
func (s *Slapd) run(program string, args ...string) error {
	out, err := exec.Command(program, append([]string{"-H", s.SocketURL}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

// Add adds entries, as LDIF.
func (s *Slapd) Add(t testing.TB, ldif string) {
	t.Helper()
	s.write(t, "add.ldif", ldif)
	if err := s.run("ldapadd", "-x", "-D", slapdRoot, "-w", slapdRootPassword, "-c", "-M", "-f", filepath.Join(s.dir, "add.ldif")); err != nil {
		t.Fatal(err)
	}
}

// Person adds somebody with a mailbox and certificates.
func (s *Slapd) Person(t testing.TB, name, mail string, certs ...*x509.Certificate) {
	t.Helper()
	var values [][]byte
	for _, c := range certs {
		values = append(values, c.Raw)
	}
	s.Entry(t, "cn="+name+","+SlapdPeople, map[string][][]byte{"mail": {[]byte(mail)}, "userCertificate;binary": values})
}

// Entry adds an inetOrgPerson with these attributes.
func (s *Slapd) Entry(t testing.TB, dn string, attributes map[string][][]byte) {
	t.Helper()
	ldif := "dn:: " + base64.StdEncoding.EncodeToString([]byte(dn)) + "\nobjectClass: inetOrgPerson\nsn: x\n"
	for name, values := range attributes {
		for _, v := range values {
			ldif += name + ":: " + base64.StdEncoding.EncodeToString(v) + "\n"
		}
	}
	s.Add(t, ldif)
}
