package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealpost/directory/escrow"
	"sealpost/directory/store"
	"sealpost/internal/reason"
	"sealpost/lookup/keydb"
)

const provisionSections = `  ca: {certificate: ca.pem, key: ca.key, url: "http://keys.bank.example", keys: p-256}
  escrow: {key_file: escrow.key}
  provision: {exclude: ["*@partner.example"], roles: deny, keep: 24h}
`

// withEscrow is a directory that provisions, with all its files made.
func withEscrow(t testing.TB) *installation {
	t.Helper()
	in := aDirectory(t, provisionSections)
	in.write(t, "passphrase", rootPassphrase+"\n")
	in.directory(t, exitOK, in.makeAuthority()...)
	if said := in.directory(t, exitOK, "escrow", "init"); !strings.Contains(said, "copy") {
		t.Error(said)
	}
	return in
}

func (in *installation) escrowStatus(t testing.TB) (r escrowReport) {
	t.Helper()
	if err := json.Unmarshal([]byte(in.directory(t, exitOK, "escrow", "status", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// opens reads the key of an address as the portal does.
func (in *installation) opens(t testing.TB, who string) error {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(in.dir, "keys.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.KeysOf(t.Context(), who)
	if err != nil || len(all) != 1 {
		t.Fatalf("%s has %d keys: %v", who, len(all), err)
	}
	k, err := s.UseKey(t.Context(), all[0].Fingerprint, "test", "test")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.ByFingerprint(t.Context(), k.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := escrow.OpenFile(filepath.Join(in.dir, "escrow.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = escrow.Open(t.Context(), keeper, k.Wrapped, k.Fingerprint, k.Address, c.Cert.PublicKey)
	return err
}

// Keys are made over the API, refused where the configuration says so, counted,
// and wrapped anew while the server goes on making them; no secret gets into the
// log.
func TestDirectoryProvisions(t *testing.T) {
	in := withEscrow(t)
	in.start(t)
	c := in.keydb(t, in.token(t, "provision"), nil)
	const canary = "canary-secret-4711"
	ask := func(who string) (keydb.Answer, bool, error) {
		return c.Provision(t.Context(), keydb.ProvisionRequest{Address: who, Secret: canary, References: []string{"invoice 7"}})
	}
	for i := range 3 {
		if a, created, err := ask(fmt.Sprintf("person%d@example.org", i)); err != nil || !created || a.Certificates[0].Key != "EC P-256" {
			t.Fatalf("%+v, %v: %v", a, created, err)
		}
	}
	if found, err := in.keydb(t, "", nil).Lookup(t.Context(), parsed(t, "person1@example.org")); err != nil || found.Certificates[0].Origin != "issued" {
		t.Errorf("%+v, %v", found, err)
	}
	for who, want := range map[string]reason.Token{"x@partner.example": reason.ProvisionExcluded, "info@example.org": reason.ProvisionRole} {
		var p *keydb.Problem
		if _, _, err := ask(who); !errors.As(err, &p) || p.Reason != want {
			t.Errorf("%s: %v", who, err)
		}
	}
	before := in.escrowStatus(t)
	if before.Unclaimed != 3 || len(before.Masters) != 1 || before.Masters[0].Keys != 3 || before.Masters[0].Name != before.Wraps {
		t.Errorf("%+v", before)
	}
	if said := in.directory(t, exitOK, "escrow", "rotate"); !strings.Contains(said, "3 keys are wrapped") {
		t.Error(said)
	}
	if _, created, err := ask("person3@example.org"); err != nil || !created {
		t.Errorf("after the rotation: %v", err)
	}
	after := in.escrowStatus(t)
	if after.Wraps == before.Wraps || len(after.Masters) != 2 {
		t.Errorf("%+v", after)
	}
	for _, m := range after.Masters {
		if m.Name == after.Wraps && m.Keys != 4 || m.Name != after.Wraps && m.Keys != 0 {
			t.Errorf("%+v", m)
		}
	}
	in.directory(t, exitFailed, "escrow", "drop-key", strings.TrimPrefix(after.Wraps, "file:"))
	in.directory(t, exitOK, "escrow", "drop-key", before.Wraps)
	for i := range 4 {
		if err := in.opens(t, fmt.Sprintf("person%d@example.org", i)); err != nil {
			t.Error(err)
		}
	}
	in.goesOnRotating(t)
	in.deletesEscrow(t)
	if said := in.directory(t, exitOK, "escrow", "status"); !strings.Contains(said, "unclaimed 3") || !strings.Contains(said, "wraps") {
		t.Error(said)
	}
	key := strings.Fields(string(in.read(t, "escrow.key")))
	if log := in.log(t); strings.Contains(log, canary) || strings.Contains(log, key[len(key)-1]) || !strings.Contains(log, "provisioned a key") {
		t.Errorf("the log:\n%s", log)
	}
	if said := in.directory(t, exitOK, "audit", "verify"); !strings.Contains(said, "records") {
		t.Error(said)
	}
}

// goesOnRotating rotates where a rotation was interrupted after its first step.
func (in *installation) goesOnRotating(t testing.TB) {
	t.Helper()
	file := filepath.Join(in.dir, "escrow.key")
	m, err := escrow.AddMaster(file, time.Now())
	if err == nil {
		err = escrow.UseMaster(file, m.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if said := in.directory(t, exitOK, "escrow", "rotate"); !strings.Contains(said, "4 keys are wrapped under "+m.Name()) {
		t.Error(said)
	}
	if r := in.escrowStatus(t); len(r.Masters) != 2 || r.Wraps != m.Name() {
		t.Errorf("%+v", r)
	}
}

// deletesEscrow shows the key of a person, deletes it, and shows that again.
func (in *installation) deletesEscrow(t testing.TB) {
	t.Helper()
	const who = "person0@example.org"
	if said := in.directory(t, exitOK, "show", who); !strings.Contains(said, "not claimed, with a second factor, kept until") {
		t.Error(said)
	}
	if said := in.directory(t, exitOK, "escrow", "delete", "--why", "he called", who); !strings.Contains(said, "revoked") {
		t.Error(said)
	}
	in.directory(t, exitFailed, "escrow", "delete", "--why", "he called", who)
	in.directory(t, exitFailed, "escrow", "delete", "--why", "he called", strings.Repeat("ab", 32))
	in.directory(t, exitUsage, "escrow", "delete", "--why", "he called", "nobody")
	all := listed(t, in.directory(t, exitOK, "show", "--json", who))
	if len(all) != 1 || all[0].Status != "revoked" || all[0].Escrow == nil || all[0].Escrow.Deleted.IsZero() {
		t.Errorf("%+v", all)
	}
	if said := in.directory(t, exitOK, "audit", "list", "--kind", "key-deleted"); !strings.Contains(said, "he called") {
		t.Error(said)
	}
}

// Step by step with several nodes; and what is refused.
func TestEscrowCommands(t *testing.T) {
	in := withEscrow(t)
	in.directory(t, exitFailed, "escrow", "init") // it is there
	first := in.escrowStatus(t).Wraps
	in.directory(t, exitOK, "escrow", "add-key")
	if r := in.escrowStatus(t); r.Wraps != first || len(r.Masters) != 2 {
		t.Errorf("%+v", r)
	}
	if said, errs, code := sealpost(t, "", "check", "--config", in.config, "--probe"); code != exitOK || !strings.Contains(said, "escrow: ok ("+first+")") {
		t.Errorf("%d %s%s", code, said, errs)
	}
	in.directory(t, exitOK, "escrow", "rotate")
	if r := in.escrowStatus(t); r.Wraps == first || len(r.Masters) != 2 {
		t.Errorf("the added key is not used: %+v", r)
	}
	in.directory(t, exitFailed, "escrow", "drop-key", "0123456789abcdef")
	// The file is lost: nothing is served without it, and the words say what to do.
	if err := os.Rename(filepath.Join(in.dir, "escrow.key"), filepath.Join(in.dir, "safe")); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := sealpost(t, "", "serve", "--config", in.config); code == exitOK || !strings.Contains(errs, "escrow init") {
		t.Errorf("%d %s", code, errs)
	}
	if said, _, code := sealpost(t, "", "check", "--config", in.config, "--probe"); code == exitOK || !strings.Contains(said, "escrow: FAILED") {
		t.Errorf("%d %s", code, said)
	}
	for _, command := range []string{"status", "rotate", "add-key"} {
		in.directory(t, exitFailed, "escrow", command)
	}
	in.directory(t, exitOK, "escrow", "init") // another one is no help for what was wrapped
	none := aDirectory(t, "")
	none.directory(t, exitUsage, "escrow", "status")
	vault := aDirectory(t, "  escrow: {vault: {url: \"http://127.0.0.1:1\", key: escrow, token_file: token}}\n")
	vault.write(t, "token", "token-canary\n")
	vault.directory(t, exitUsage, "escrow", "init")
	if said := vault.directory(t, exitFailed, "escrow", "status"); strings.Contains(said, "canary") {
		t.Error(said)
	}
}
