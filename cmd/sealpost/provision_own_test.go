package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sealpost/internal/testkit"
)

// Relay and directory in one process: a key is made for somebody unknown, none
// for those who are excluded, and after a restart the next mail uses the same.
func TestProvisionedByOurOwnDirectory(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.keys = testkit.FreeAddr(t)
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	in.configure(t, sink.Addr, "lookup:\n  sources:\n    - {name: keydb, type: directory}\n"+provisionPolicy+
		"directory:\n  address: "+in.keys+"\n  store: {file: keys.db}\n"+provisionSections)
	in.write(t, "passphrase", rootPassphrase+"\n")
	in.directory(t, exitOK, in.makeAuthority()...)
	in.directory(t, exitOK, "escrow", "init")
	in.start(t)
	canary, secret := testkit.NewCanary(t), testkit.NewCanary(t)
	message := "X-Sealpost-Secret: " + string(secret) + "\r\n" + sampleMail(canary)
	d := in.dial(t)
	const walter = "walter@nokey.example"
	for who, want := range map[string]string{
		walter: "250", "info@nokey.example": "550 5.7.1 <info@nokey.example>", "pat@partner.example": "550 5.7.1 <pat@partner.example>",
	} {
		if got := d.submit(t, message, who); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", who, got)
		}
	}
	in.waitLog(t, "to=<"+walter+">", "action=sealed", "provisioned=created")
	in.waitLog(t, "to=<info@nokey.example>", "reason=provision-role-address")
	in.stop(t)
	in.launch(t)
	if got := in.dial(t).submit(t, message, walter); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	sink.Wait(t, 2)
	if used := in.sealedTo(t, walter); len(used) != 2 || used[0] != used[1] {
		t.Errorf("sealed to %v", used)
	}
	if s := in.escrowStatus(t); s.Unclaimed != 1 {
		t.Errorf("%d keys were made", s.Unclaimed)
	}
	for _, c := range []testkit.Canary{canary, secret} {
		in.nowhere(t, c, sink.Wire())
	}
}

var certificateInLog = regexp.MustCompile(`msg=recipient .*to=<([^>]+)>.* certificate=([0-9a-f]+) `)

// sealedTo are the certificates that mail to somebody was sealed to, by the log.
func (in *installation) sealedTo(t testing.TB, who string) (used []string) {
	t.Helper()
	for _, m := range certificateInLog.FindAllStringSubmatch(in.log(t), -1) {
		if m[1] == who {
			used = append(used, m[2])
		}
	}
	return used
}

// Two relays, one with a mirror, one directory, and many messages at the same moment to people whom
// nobody knew before: each has one key, and all mail to him is sealed to that.
func TestTwoRelaysOneKey(t *testing.T) {
	t.Parallel()
	dir := withEscrow(t)
	dir.start(t)
	token := dir.token(t, "read,feed,provision")
	sink := testkit.StartSink(t, testkit.SinkOptions{})
	relays := []*installation{newInstallation(t), newInstallation(t)}
	for i, in := range relays {
		in.write(t, "keys.token", token+"\n")
		mirror := []string{"", ", mirror: keys.mirror"}[i] // one of them knows of a new key a little later
		in.configure(t, sink.Addr, fmt.Sprintf("lookup:\n  sources:\n    - {name: keydb, type: directory, url: \"http://%s\", token_file: keys.token%s}\n", dir.keys, mirror)+provisionPolicy)
		in.start(t)
	}
	const people, each = 3, 4
	message := sampleMail(testkit.NewCanary(t))
	var wg sync.WaitGroup
	for i := range each {
		for p := range people {
			d := relays[(i+p)%2].dial(t)
			wg.Go(func() {
				if got := d.submit(t, message, fmt.Sprintf("person%d@nokey.example", p)); !strings.HasPrefix(got, "250") {
					t.Error(got)
				}
			})
		}
	}
	wg.Wait()
	sink.Wait(t, people*each)
	for p := range people {
		who := fmt.Sprintf("person%d@nokey.example", p)
		used := append(relays[0].sealedTo(t, who), relays[1].sealedTo(t, who)...)
		if len(used) != each {
			t.Errorf("%s: %d messages in the logs", who, len(used))
		}
		for _, c := range used {
			if c != used[0] {
				t.Errorf("%s: sealed to %v", who, used)
			}
		}
	}
	if s := dir.escrowStatus(t); s.Unclaimed != people {
		t.Errorf("%d keys were made", s.Unclaimed)
	}
	if made := relays[0].metric(t, `sealpost_provisioned_total{result="created"}`) + relays[1].metric(t, `sealpost_provisioned_total{result="created"}`); made != people {
		t.Errorf("%v keys are counted as made", made)
	}
	if files, err := filepath.Glob(filepath.Join(relays[0].dir, "*.db")); err != nil || len(files) > 0 {
		t.Errorf("a relay keeps %v", files)
	}
}
