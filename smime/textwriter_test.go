package smime

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"testing"
)

// inLines is base64 text as encoding/base64 and a plain loop make it.
func inLines(header, data []byte) []byte {
	out := append([]byte(nil), header...)
	chars := base64.StdEncoding.EncodeToString(data)
	for len(chars) > 0 {
		n := min(76, len(chars))
		out = append(append(out, chars[:n]...), "\r\n"...)
		chars = chars[n:]
	}
	return out
}

func TestTextWriter(t *testing.T) {
	data := make([]byte, 3*blockSize)
	rand.Read(data)
	header := []byte("A: 1\r\n\r\n")
	for _, size := range []int{0, 1, 2, 3, 54, 56, 57, 58, 59, 60, 113, 114, 115, 1000, 47880, 48000, len(data)} {
		want := inLines(header, data[:size])
		if textSize(int64(size)) != int64(len(want)-len(header)) {
			t.Errorf("textSize(%d) = %d, want %d", size, textSize(int64(size)), len(want)-len(header))
		}
		for _, piece := range []int{1, 2, 3, 5, 56, 57, 58, 1000, len(data)} {
			got, err := writeText(header, data[:size], piece)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes in pieces of %d: %v, %.200q; want %.200q", size, piece, err, got, want)
			}
		}
	}
}

func writeText(header, data []byte, piece int) ([]byte, error) {
	var out bytes.Buffer
	w := newTextWriter(&out)
	defer w.release()
	if err := w.header(header); err != nil {
		return nil, err
	}
	for len(data) > 0 {
		n := min(piece, len(data))
		if _, err := w.Write(data[:n]); err != nil {
			return nil, err
		}
		data = data[n:]
	}
	err := w.Close()
	if err == nil && w.written != int64(out.Len()) {
		err = errors.New("wrong count")
	}
	return out.Bytes(), err
}

// TestTextWriterText: text that was encoded elsewhere fits in at every column.
func TestTextWriterText(t *testing.T) {
	data := make([]byte, 3*blockSize)
	rand.Read(data)
	for before := 0; before < 120; before += 3 {
		for _, middle := range []int{0, 3, 57, 60, 2 * blockSize / 3 * 3} {
			var out bytes.Buffer
			w := newTextWriter(&out)
			chars := base64.StdEncoding.EncodeToString(data[before : before+middle])
			_, err := w.Write(data[:before])
			err = errors.Join(err, w.text([]byte(chars)))
			_, writeErr := w.Write(data[before+middle:])
			if err := errors.Join(err, writeErr, w.Close()); err != nil {
				t.Fatal(err)
			}
			w.release()
			if !bytes.Equal(out.Bytes(), inLines(nil, data)) {
				t.Fatalf("%d bytes before, %d encoded", before, middle)
			}
		}
	}
}

// TestTextWriterLongHeader: a header need not fit into the buffer.
func TestTextWriterLongHeader(t *testing.T) {
	header := bytes.Repeat([]byte("x"), 3*blockSize+7)
	got, err := writeText(header, []byte("data"), 1)
	if err != nil || !bytes.Equal(got, inLines(header, []byte("data"))) {
		t.Fatal(err)
	}
}

// A limitedWriter fails when it has taken so many bytes.
type limitedWriter struct{ left int }

var errFull = errors.New("full")

func (w *limitedWriter) Write(p []byte) (int, error) {
	n := min(w.left, len(p))
	w.left -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func BenchmarkTextWriter(b *testing.B) {
	data := make([]byte, 1<<20)
	w := newTextWriter(discard{})
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := w.Write(data); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
