package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes: written plain, or with a unit, as 50MiB or 10MB.
type Size int64

// Path names a file or folder. It is absolute once the configuration is read.
type Path string

type unit struct {
	name  string
	bytes int64
}

// units are ordered as they are tried when a size is written.
func units() []unit {
	return []unit{
		{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	}
}

// String is the shortest spelling that is exact; ParseSize reads it.
func (s Size) String() string {
	for _, u := range units() {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize reads a number of bytes with or without a unit.
func ParseSize(s string) (Size, error) {
	number, factor := s, int64(1)
	for _, u := range units() {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, factor = rest, u.bytes
			break
		}
	}
	n, err := parseInt(number)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > math.MaxInt64/factor:
		return 0, fmt.Errorf("%s is too large", quote(s))
	case err != nil || n < 0:
		if near := nearSize(s); near != "" {
			return 0, fmt.Errorf("%s is not a size: did you mean %s?", quote(s), near)
		}
		return 0, fmt.Errorf("%s is not a size: write a whole number of bytes, or one with a unit, as 512KiB, 50MiB or 10MB", quote(s))
	}
	return Size(n * factor), nil
}

// nearSize is what a size with a blank, a leading zero or the unit K, M or G
// was meant to be; "" when that cannot be told.
func nearSize(s string) string {
	plain := strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	digits := strings.TrimRight(plain, "KMGIB")
	number := strings.TrimLeft(digits, "0")
	if _, err := parseInt(number); err != nil || number[0] == '-' {
		return ""
	}
	switch unit := plain[len(digits):]; unit {
	case "", "B":
		return number
	case "K", "KB", "KIB", "M", "MB", "MIB", "G", "GB", "GIB":
		return number + unit[:1] + "iB"
	}
	return ""
}

var errNumber = errors.New("not a plain decimal number")

// parseInt reads decimal digits only: YAML takes 010 for eight and 0x10 for
// sixteen, and an operator may mean something else.
func parseInt(s string) (int64, error) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 1 && digits[0] == '0' {
		return 0, errNumber
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, errNumber
		}
	}
	return strconv.ParseInt(s, 10, 64)
}

// numberText says what is wrong with a number that parseInt does not read.
func numberText(s string, err error) string {
	if errors.Is(err, strconv.ErrRange) {
		return quote(s) + " is too large"
	}
	trimmed := strings.TrimLeft(s, "0")
	if _, err := parseInt(trimmed); err == nil && trimmed != s {
		return fmt.Sprintf("%s is ambiguous: a leading zero makes a number octal in YAML. Write %s", s, trimmed)
	}
	return fmt.Sprintf("%s is not a number: write it with the digits 0 to 9 only", quote(s))
}

// parseDuration reads 90s, 1h30m or 250ms.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err == nil && d >= 0 && (s != "0" && s != "+0") && s[0] != '+':
		return d, nil
	case err == nil && d < 0:
		return 0, fmt.Errorf("%s is negative: a duration is 0s or more", quote(s))
	}
	if n, err := parseInt(s); err == nil && n >= 0 {
		return 0, fmt.Errorf("%s has no unit: did you mean %ss or %sm?", s, s, s)
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := parseInt(days); err == nil && n >= 0 && n < 1e5 {
			return 0, fmt.Errorf("%s has a unit that is not used here: did you mean %dh?", quote(s), n*24)
		}
	}
	return 0, fmt.Errorf("%s is not a duration: write a number with ms, s, m or h, as 500ms, 3s, 5m or 24h", quote(s))
}

// durationString leaves out the zero parts that time.Duration writes.
func durationString(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseNetwork reads a CIDR network, or one address as the network of itself.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%s is not a network: write it as 10.1.0.0/16 or \"2001:db8::/32\"", quote(s))
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%s is an IPv4 network written as IPv6: write it as IPv4, as 10.1.0.0/16", quote(s))
	case p != p.Masked():
		return p, fmt.Errorf("%s has bits set behind the /%d: did you mean %s or %s/%d?",
			quote(s), p.Bits(), p.Masked(), p.Addr(), p.Addr().BitLen())
	}
	return p, nil
}

// quote makes any value safe to show on one line, and not longer than a line.
func quote(s string) string {
	if len(s) > 80 {
		return strconv.Quote(s[:77]) + "…"
	}
	return strconv.Quote(s)
}
