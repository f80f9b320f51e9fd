package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sealpost/internal/bench/load"
)

// postfixMain is Postfix as it is installed, but for what a private instance
// on loopback needs; no limit and no fsync is touched.
const postfixMain = `
compatibility_level = 3.6
queue_directory = $DIR/queue
data_directory = $DIR/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = $DIR/mail.log
maillog_file_prefixes = $DIR
myhostname = postfix.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
biff = no
default_transport = smtp:[127.0.0.1]:$SINKPORT
seal_destination_recipient_limit = 1
`

// postfixMaster is Debian's master.cf without chroot.
const postfixMaster = `
$ADDR      inet  n       -       n       -       -       smtpd $FILTER
pickup     unix  n       -       n       60      1       pickup
cleanup    unix  n       -       n       -       0       cleanup
qmgr       unix  n       -       n       300     1       qmgr
tlsmgr     unix  -       -       n       1000?   1       tlsmgr
rewrite    unix  -       -       n       -       -       trivial-rewrite
bounce     unix  -       -       n       -       0       bounce
defer      unix  -       -       n       -       0       bounce
trace      unix  -       -       n       -       0       bounce
verify     unix  -       -       n       -       1       verify
flush      unix  n       -       n       1000?   0       flush
proxymap   unix  -       -       n       -       -       proxymap
proxywrite unix  -       -       n       -       1       proxymap
smtp       unix  -       -       n       -       -       smtp
relay      unix  -       -       n       -       -       smtp
showq      unix  n       -       n       -       -       showq
error      unix  -       -       n       -       -       error
retry      unix  -       -       n       -       -       error
discard    unix  -       -       n       -       -       discard
anvil      unix  -       -       n       -       1       anvil
scache     unix  -       -       n       -       1       scache
postlog    unix-dgram n  -       n       -       1       postlogd
seal       unix  -       n       n       -       10      pipe
  flags=Rq user=nobody argv=$DIR/seal.sh ${sender} ${recipient}
`

// filterScript is the simple filter of Postfix's FILTER_README around openssl,
// as people build it: one call for each recipient.
const filterScript = `#!/bin/sh
# Usage: seal.sh sender recipient
cd "$DIR/inspect" || exit 75
trap 'rm -f head.$$ inner.$$ sealed.$$' 0 1 2 3 15

awk -v head=head.$$ -v inner=inner.$$ '
	body { print > inner; next }
	/^$/ { body = 1; print > inner; next }
	!/^[ \t]/ { out = tolower($0) ~ /^(content-[a-z-]+|mime-version):/ ? inner : head }
	{ print > out }' || exit 75
openssl cms -encrypt -aes256 -in inner.$$ -out sealed.$$ "$CERTS/$2.pem" || exit 75
cat head.$$ sealed.$$ | /usr/sbin/sendmail -G -i -f "$1" -- "$2"
exit $?
`

// inNamespace starts Postfix's master with its configuration in the place
// where sendmail and postdrop look for it, seen by this instance alone.
const inNamespace = `mount --bind "$0/etc" /etc/postfix && postfix check && exec "$1/master" -s -e 3600`

// startPostfix runs a private instance that relays to a sink of its own, with
// or without the filter.
func startPostfix(ctx context.Context, dir, certs string, filtered bool) (*system, error) {
	sink, err := load.ListenSink()
	if err != nil {
		return nil, err
	}
	s := &system{name: plain, sink: sink, proof: "boundary="}
	if filtered {
		s.name, s.proof = filter, "smime-type=enveloped-data"
	}
	if s.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	if err := configurePostfix(s, dir, certs, filtered); err != nil {
		return nil, err
	}
	daemons, err := exec.Command("postconf", "-h", "daemon_directory").Output()
	if err != nil {
		return nil, fmt.Errorf("postconf: %w", err)
	}
	cmd := exec.Command("unshare", "-m", "sh", "-c", inNamespace, dir, strings.TrimSpace(string(daemons)))
	if s.proc, err = startProcess(cmd, filepath.Join(dir, "master.log")); err != nil {
		return nil, err
	}
	return s, s.proc.ready(ctx, s.addr)
}

// configurePostfix fills dir.
func configurePostfix(s *system, dir, certs string, filtered bool) error {
	for _, sub := range []string{"", "queue", "data", "inspect"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"cp", "-a", "/etc/postfix", filepath.Join(dir, "etc")}, // with the lists that `postfix check` reads
		{"chown", "postfix", filepath.Join(dir, "data")},
		{"chown", "nobody", filepath.Join(dir, "inspect")},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	option := ""
	if filtered {
		option = "-o content_filter=seal:dummy"
	}
	_, port, _ := strings.Cut(s.sink.Addr(), ":")
	put := strings.NewReplacer("$DIR", dir, "$CERTS", certs, "$SINKPORT", port, "$ADDR", s.addr, "$FILTER", option)
	for _, f := range []struct {
		name, text string
		mode       os.FileMode
	}{{"etc/main.cf", postfixMain, 0o644}, {"etc/master.cf", postfixMaster, 0o644}, {"seal.sh", filterScript, 0o755}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(put.Replace(f.text)), f.mode); err != nil {
			return err
		}
	}
	return nil
}
