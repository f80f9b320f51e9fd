package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"sealpost/config"
	"sealpost/directory/ca"
)

// rootKeyAccess says where the root's key is, and what opens it.
type rootKeyAccess struct {
	RootKey        string `required:"" help:"File of the root's key, encrypted under a passphrase: on a medium that will lie in a safe." placeholder:"FILE"`
	PassphraseFile string `help:"File with the passphrase in one line. Default: it is typed." placeholder:"FILE"`
}

type caInitCommand struct {
	directoryAccess
	rootKeyAccess
	Name         string `required:"" help:"What recipients read in their mail programs, such as \"Example Bank\"." placeholder:"TEXT"`
	Organization string `required:"" help:"The legal name." placeholder:"TEXT"`
	Country      string `required:"" help:"Where it is: two letters." placeholder:"CC"`
	IssuingKey   string `help:"Kind of the issuing key: rsa-2048, rsa-3072, p-256 or p-384; the root's is a stronger one of its family." default:"rsa-2048" enum:"rsa-2048,rsa-3072,p-256,p-384" placeholder:"KIND"`
	RootYears    int    `help:"Years that the root is valid." default:"20" placeholder:"N"`
	IssuerYears  int    `help:"Years that the issuing certificate is valid; then renew-issuer." default:"5" placeholder:"N"`
}

// Run makes the files, or none of them.
func (c caInitCommand) Run(_ context.Context, s streams) error {
	_, section, err := c.authoritySection()
	if err != nil {
		return err
	}
	if c.RootYears < 10 || c.RootYears > 25 || c.IssuerYears < 1 || c.IssuerYears > c.RootYears {
		return usageError{errors.New("the root is valid for 10 to 25 years, and the issuing certificate for at most as long")}
	}
	files := []string{c.RootKey, string(section.Key), string(section.Certificate)}
	for _, file := range files {
		if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: %w: an authority is never overwritten; to renew one there is renew-issuer", file, errors.Join(os.ErrExist, err))
		}
	}
	passphrase, err := c.passphrase(s, true)
	if err != nil {
		return err
	}
	made, err := ca.Make(ca.MakeOptions{Name: c.Name, Organization: c.Organization, Country: c.Country, Key: c.IssuingKey,
		RootLifetime: years(c.RootYears), IssuerLifetime: years(c.IssuerYears), URL: section.URL})
	if errors.Is(err, ca.ErrNames) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	sealed, err := ca.SealKey(made.RootKey, passphrase)
	clear(made.RootKey)
	if err != nil {
		return err
	}
	if err := writeNew(files, [][]byte{sealed, made.Key, made.Certificate}, []os.FileMode{0o600, 0o600, 0o644}); err != nil {
		return fmt.Errorf("no authority was made: %w", err)
	}
	fmt.Fprintf(s.Err, initDone, c.RootKey, section.Key, section.Certificate)
	return nil
}

// initDone says where each file belongs.
const initDone = `%s is the key of the ROOT, encrypted. Take it off this machine now: copy it to two media that are kept in
  a safe, with the passphrase in another place, and delete it here. Whoever has both can issue certificates in your name
  to everybody who trusts the root; without it, nobody can renew the issuing authority. The server never needs it.
%s is the issuing key. It stays on the server, readable for the user that runs sealpost and for nobody else.
%s are the certificates, which everybody may have.
Start the server again: it publishes them under /ca/.
`

type caRenewCommand struct {
	directoryAccess
	rootKeyAccess
	NewKey string `help:"The issuing key was stolen or lost: make one of this kind (as with init), and have the root revoke the old one. All certificates that it signed are then good no more." enum:",rsa-2048,rsa-3072,p-256,p-384" default:"" placeholder:"KIND"`
	Years  int    `help:"Years that the issuing certificate is valid." default:"5" placeholder:"N"`
}

// Run puts other files in the place of the old, which are kept beside them.
func (c caRenewCommand) Run(_ context.Context, s streams) error {
	_, section, err := c.authoritySection()
	if err != nil {
		return err
	}
	if c.Years < 1 || c.Years > 25 {
		return usageError{errors.New("--years is from 1 to 25")}
	}
	certificate, err := os.ReadFile(string(section.Certificate))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(string(section.Key))
	if err != nil && c.NewKey == "" {
		return err
	}
	sealed, err := os.ReadFile(c.RootKey)
	if err != nil {
		return err
	}
	passphrase, err := c.passphrase(s, false)
	if err != nil {
		return err
	}
	rootKey, err := ca.OpenKey(sealed, passphrase)
	if err != nil {
		return fmt.Errorf("%s: %w", c.RootKey, err)
	}
	made, err := ca.Renew(ca.RenewOptions{Certificate: certificate, Key: key, RootKey: rootKey, NewKey: c.NewKey, Lifetime: years(c.Years), URL: section.URL})
	clear(rootKey)
	if err != nil {
		return err
	}
	return c.replace(s, section, made)
}

func (c caRenewCommand) replace(s streams, section *config.DirectoryCA, made *ca.Made) error {
	suffix := ".before-" + time.Now().UTC().Format("20060102-150405.000")
	if made.Key != nil {
		err := replaceKept(string(section.Key), suffix, made.Key)
		if errors.Is(err, os.ErrNotExist) { // it was lost
			err = writeDurably(string(section.Key), made.Key, 0o600)
		}
		if err != nil {
			return err
		}
	}
	if err := replaceKept(string(section.Certificate), suffix, made.Certificate); err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "%s has the new issuing certificate; the one before is in %s%s\nStart the server again, and put the root's key back into its safe.\n",
		section.Certificate, section.Certificate, suffix)
	return nil
}

func years(n int) time.Duration { return time.Duration(n) * 365 * 24 * time.Hour }

// passphrase reads it from its file, or has it typed; a new one twice.
func (r rootKeyAccess) passphrase(s streams, fresh bool) ([]byte, error) {
	if r.PassphraseFile != "" {
		text, err := config.ReadSecret(config.Path(r.PassphraseFile))
		if err != nil {
			return nil, fmt.Errorf("%s %w", r.PassphraseFile, err)
		}
		return []byte(text), checkPassphrase(text, fresh)
	}
	terminal, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return nil, usageError{errors.New("nobody can type a passphrase here: write --passphrase-file")}
	}
	text, err := typed(terminal, s.Err, "Passphrase of the root's key: ")
	if err != nil || !fresh {
		return text, err
	}
	if err := checkPassphrase(string(text), fresh); err != nil {
		return nil, err
	}
	again, err := typed(terminal, s.Err, "Once more: ")
	if err == nil && !bytes.Equal(text, again) {
		err = errors.New("these were two different passphrases")
	}
	return text, err
}

func checkPassphrase(text string, fresh bool) error {
	if fresh && len(text) < ca.MinPassphrase {
		return usageError{fmt.Errorf("a passphrase of fewer than %d characters protects nothing: take some words by chance", ca.MinPassphrase)}
	}
	return nil
}

func typed(terminal *os.File, w io.Writer, prompt string) ([]byte, error) {
	fmt.Fprint(w, prompt)
	text, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(w)
	return text, err
}

// writeNew writes files that do not exist yet: all of them, or none.
func writeNew(names []string, contents [][]byte, modes []os.FileMode) error {
	for i, name := range names {
		if err := writeDurably(name, contents[i], modes[i]); err != nil {
			for _, written := range names[:i] {
				err = errors.Join(err, os.Remove(written))
			}
			return err
		}
	}
	return nil
}

// writeDurably makes a file; when it fails there is none.
func writeDurably(name string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return syncFolder(name)
}

func syncFolder(name string) error {
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// replaceKept puts content in the place of a file, which is kept under its name
// with the suffix. At no time is there none.
func replaceKept(name, suffix string, content []byte) error {
	before, err := os.Stat(name)
	if err != nil {
		return err
	}
	fresh := name + ".new"
	if err := writeDurably(fresh, content, 0o600); err != nil {
		return err
	}
	err = errors.Join(likeBefore(fresh, before), os.Link(name, name+suffix))
	if err == nil {
		err = os.Rename(fresh, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return syncFolder(name)
}
