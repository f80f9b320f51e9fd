package config

import (
	"os"
	"strings"
	"time"

	"sealpost/internal/address"
)

// A checker looks at what was read as a whole, and at the files it names.
type checker struct {
	*findings
	config *Config
	now    time.Time
}

// check notes everything that is wrong or doubtful in a configuration whose
// single values are right.
func check(c *Config, f *findings, around surroundings) {
	k := &checker{findings: f, config: c, now: around.now()}
	k.hostname()
	for i := range c.Listen {
		k.listener(item("listen", i), &c.Listen[i])
	}
	k.limits()
	for i := range c.Upstream {
		k.upstream(item("upstream", i), &c.Upstream[i])
	}
	k.unique("upstream", "address", len(c.Upstream), func(i int) string { return c.Upstream[i].Address })
	k.sockets()
	k.sources()
	k.trust()
	k.policy()
	k.spool()
	k.control()
	k.directory()
	k.harvest()
}

func (k *checker) hostname() {
	name := k.config.Hostname
	if name == "" || fullName(name) {
		return
	}
	if ascii, err := address.Domain(name); err == nil && fullName(ascii) && ascii != strings.ToLower(name) {
		k.wrong("hostname", "%s must be written in ASCII here: did you mean %s?", quote(name), ascii)
		return
	}
	k.wrong("hostname", "%s is not a full domain name: write one as relay.example.com", quote(name))
}

func (k *checker) limits() {
	l := &k.config.Limits
	if l.Connections > 0 && l.ConnectionsPerClient > l.Connections {
		k.wrong("limits.connections_per_client", "is larger than limits.connections (%d)", l.Connections)
	}
	if l.TotalMemory > 0 && l.MessageMemory > l.TotalMemory {
		k.wrong("limits.message_memory", "is larger than limits.total_memory (%s)", l.TotalMemory)
	}
	if l.TempDir != "" {
		k.folder("limits.temp_dir", l.TempDir)
	}
}

// folder wants a folder that can be listed.
func (k *checker) folder(key string, p Path) {
	info, err := os.Stat(string(p))
	if err == nil && !info.IsDir() {
		k.wrong(key, "%s is not a folder", p)
		return
	}
	if err == nil {
		var f *os.File
		if f, err = os.Open(string(p)); err == nil {
			f.Close()
			return
		}
	}
	k.wrong(key, "%s cannot be read: %s", p, plainError(err))
}

// private wants a file with a secret: readable by us, and not by others.
func (k *checker) private(key string, p Path) bool {
	info, err := os.Stat(string(p))
	switch {
	case err != nil:
		k.wrong(key, "%s cannot be read: %s", p, plainError(err))
	case !info.Mode().IsRegular():
		k.wrong(key, "%s is not a regular file", p)
	case info.Mode().Perm()&0o007 != 0:
		k.wrong(key, "%s is open to everybody (mode %04o): chmod o= %s", p, info.Mode().Perm(), p)
	default:
		return true
	}
	return false
}

// secret wants a private file with one line in it.
func (k *checker) secret(key string, p Path) {
	if p == "" || !k.private(key, p) {
		return
	}
	if _, err := ReadSecret(p); err != nil {
		k.wrong(key, "%s %s", p, err)
	}
}

// unused refuses keys that have no meaning beside another one, so that nobody
// believes in a protection that is not there.
func (k *checker) unused(section string, because string, names ...string) {
	for _, name := range names {
		if key := join(section, name); k.has(key) {
			k.wrong(key, "has no meaning with %s: leave it out", because)
		}
	}
}

// unique refuses a name that stands twice in a list.
func (k *checker) unique(list, member string, n int, name func(int) string) {
	seen := map[string]int{}
	for i := range n {
		s := name(i)
		if s == "" {
			continue
		}
		if first, ok := seen[s]; ok {
			k.wrong(join(item(list, i), member), "%s stands twice: first in line %d", quote(s), k.line(item(list, first)))
			continue
		}
		seen[s] = i
	}
}
