package portal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Colours are the operator's, each as #rrggbb. What is empty stays ours.
type Colours struct {
	// Accent is for buttons and links. It must be dark enough to be read on white
	// (WCAG 2.1, 1.4.3: a contrast of 4.5). Where the browser wants a dark page, a
	// lighter form of it is used.
	Accent string
	// Header is the ground of the bar at the top; the words on it become black or
	// white.
	Header string
}

// A Link stands at the bottom of every page: imprint, privacy, help.
type Link struct {
	Label string // the words, in English and wherever there are no others
	Words map[string]string
	URL   string // https, http or mailto
}

// Errors of New about what the operator brings.
var (
	ErrLogo   = errors.New("portal: the logo must be an SVG or PNG image of at most 256 KiB")
	ErrColour = errors.New("portal: the colour")
	ErrLink   = errors.New("portal: a link needs words, and a URL for https, http or mailto")
)

const maxLogo = 256 << 10

type logo struct {
	kind, path string
	data       []byte
}

// readLogo recognises an image by what it is, and names it by its content, so
// that browsers may keep it for long.
func readLogo(data []byte) (logo, error) {
	if len(data) == 0 {
		return logo{}, nil
	}
	sum := sha256.Sum256(data)
	name := "/logo-" + hex.EncodeToString(sum[:6])
	switch {
	case len(data) > maxLogo:
		return logo{}, ErrLogo
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return logo{"image/png", name + ".png", data}, nil
	case bytes.Contains(data[:min(len(data), 1024)], []byte("<svg")):
		return logo{"image/svg+xml", name + ".svg", data}, nil
	}
	return logo{}, ErrLogo
}

// Check reports whether the link can stand on a page; the error wraps ErrLink.
func (l Link) Check() error {
	u, err := url.Parse(l.URL)
	if err != nil || l.Label == "" || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "mailto" {
		return fmt.Errorf("%w: %q", ErrLink, l.URL)
	}
	return nil
}

// A colour has its parts from 0 to 1.
type colour [3]float64

// The grounds on which words stand, as page.css has them.
var (
	white     = colour{1, 1, 1}
	ink       = colour{0x0c / 255., 0x17 / 255., 0x23 / 255.}
	lightPage = colour{0xf5 / 255., 0xf6 / 255., 0xf8 / 255.}
	darkCard  = colour{0x19 / 255., 0x21 / 255., 0x2b / 255.}
)

// legible is the least contrast of words with their ground (WCAG 2.1, 1.4.3).
const legible = 4.5

func readColour(s string) (c colour, err error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || len(s) != 7 || s[0] != '#' {
		return c, fmt.Errorf("%w %q is not written as #rrggbb, for example #0b5394", ErrColour, s)
	}
	return colour{float64(n>>16) / 255, float64(n>>8&255) / 255, float64(n&255) / 255}, nil
}

func (c colour) String() string {
	b := func(v float64) int { return int(math.Round(v * 255)) }
	return fmt.Sprintf("#%02x%02x%02x", b(c[0]), b(c[1]), b(c[2]))
}

// toward mixes a share of another colour in.
func (c colour) toward(other colour, share float64) (mixed colour) {
	for i := range c {
		mixed[i] = c[i] + (other[i]-c[i])*share
	}
	return mixed
}

// luminance is as WCAG 2.1 defines it.
func (c colour) luminance() float64 {
	line := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*line(c[0]) + 0.7152*line(c[1]) + 0.0722*line(c[2])
}

func (c colour) contrast(other colour) float64 {
	a, b := c.luminance(), other.luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// onIt is the colour of words on this ground.
func (c colour) onIt() colour {
	if c.contrast(white) >= c.contrast(ink) {
		return white
	}
	return ink
}

// Check reports colours that cannot be read; the error wraps ErrColour.
func (c Colours) Check() error {
	_, err := c.css()
	return err
}

// css is what is added to page.css.
func (c Colours) css() (string, error) {
	var b strings.Builder
	if c.Accent != "" {
		accent, err := readColour(c.Accent)
		if err != nil {
			return "", err
		}
		soft := func(c colour, ground colour) colour { return ground.toward(c, 0.11) }
		if got := min(accent.contrast(lightPage), accent.contrast(soft(accent, white))); got < legible {
			return "", fmt.Errorf("%w %s is too light: its contrast with the page is %.1f, and words need %.1f (WCAG 2.1); take a darker one", ErrColour, c.Accent, got, legible)
		}
		night := accent
		for night.contrast(soft(night, darkCard)) < legible+1 {
			night = night.toward(white, 0.05)
		}
		fmt.Fprintf(&b, ":root{--accent:%s;--accent-ink:%s;--accent-soft:%s}\n", accent, accent.onIt(), soft(accent, white))
		fmt.Fprintf(&b, "@media (prefers-color-scheme:dark){:root{--accent:%s;--accent-ink:%s;--accent-soft:%s}}\n", night, night.onIt(), soft(night, darkCard))
	}
	if c.Header != "" {
		header, err := readColour(c.Header)
		if err != nil {
			return "", err
		}
		if header.contrast(header.onIt()) < legible {
			return "", fmt.Errorf("%w %s lets neither black nor white words be read; take a darker or a lighter one", ErrColour, c.Header)
		}
		fmt.Fprintf(&b, "body>header{background:%s;--bar:%s}\n", header, header.onIt())
	}
	return b.String(), nil
}
