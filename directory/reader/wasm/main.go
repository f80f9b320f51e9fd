//go:build js && wasm

// Command wasm is what the page /read runs in a Worker of the browser: package
// letter, and the little that carries files in and letters out. It gives the
// Worker one object, sealpost, whose functions answer at once; an answer has
// either what was asked for, or an error of letter.Code.
package main

import (
	"errors"
	"io"
	"syscall/js"
	"time"

	"sealpost/directory/keybox"
	"sealpost/directory/reader/letter"
)

func main() {
	p := &page{}
	api := js.Global().Get("Object").New()
	for name, f := range map[string]func([]js.Value) (any, error){
		"readKey": p.readKey, "askKey": p.askKey, "takeKey": p.takeKey, "forget": p.forget, "open": p.open,
	} {
		api.Set(name, js.FuncOf(func(_ js.Value, args []js.Value) any {
			answer, err := f(args)
			if err != nil {
				return map[string]any{"error": letter.Code(err)}
			}
			return answer
		}))
	}
	js.Global().Set("sealpost", api)
	select {} // as long as the Worker lives
}

// A page is what the Worker remembers: the keys, until it ends.
type page struct {
	keys   []letter.Key
	opener *keybox.Opener
}

// readKey takes the bytes of a PKCS#12 file and its passphrase.
func (p *page) readKey(args []js.Value) (any, error) {
	file := bytesOf(args[0])
	defer clear(file)
	key, err := letter.ReadPKCS12(file, args[1].String())
	if err != nil {
		return nil, err
	}
	return p.add(key), nil
}

// askKey makes the key pair for which the directory seals a key, and gives its
// public key.
func (p *page) askKey([]js.Value) (any, error) {
	var err error
	if p.opener, err = keybox.NewOpener(); err != nil {
		return nil, err
	}
	return map[string]any{"public": p.opener.Public()}, nil
}

var errUnasked = errors.New("a key box that was not asked for")

// takeKey opens what the directory sealed.
func (p *page) takeKey(args []js.Value) (any, error) {
	if p.opener == nil {
		return nil, errUnasked
	}
	private, cert, err := p.opener.Open(bytesOf(args[0]))
	p.opener = nil // each box has a key of its own
	if err != nil {
		return nil, err
	}
	return p.add(letter.Key{Certificate: cert, Private: private}), nil
}

func (p *page) add(key letter.Key) any {
	p.keys = append([]letter.Key{key}, p.keys...)
	addresses := []any{}
	for _, a := range key.Certificate.Addresses {
		addresses = append(addresses, a)
	}
	return map[string]any{
		"addresses": addresses, "subject": key.Certificate.Subject, "key": key.Certificate.KeyName,
		"until": key.Certificate.NotAfter.UTC().Format(time.RFC3339),
	}
}

func (p *page) forget([]js.Value) (any, error) {
	p.keys, p.opener = nil, nil
	return map[string]any{}, nil
}

// open takes a File of the browser, which is read piece by piece.
func (p *page) open(args []js.Value) (any, error) {
	f := letter.File{ReaderAt: blob{args[0], js.Global().Get("FileReaderSync").New()}, Size: int64(args[0].Get("size").Float())}
	l, err := letter.Open(f, letter.Options{Keys: p.keys, Charset: charset})
	if err != nil {
		return nil, err
	}
	bodies, parts := []any{}, []any{}
	for _, b := range l.Bodies {
		bodies = append(bodies, map[string]any{"text": b.Text, "html": b.HTML})
	}
	for i := range l.Parts {
		part := &l.Parts[i]
		parts = append(parts, map[string]any{
			"name": part.Name, "type": part.Type, "id": part.ID, "shown": part.Shown, "damaged": part.Damaged, "data": bytesTo(part.Data),
		})
		part.Data = nil // the browser has it now
	}
	return map[string]any{
		"from": l.From, "to": l.To, "cc": l.Cc, "subject": l.Subject, "date": when(l.Date), "signed": l.Signed, "damaged": l.Damaged,
		"bodies": bodies, "parts": parts,
	}, nil
}

func bytesOf(v js.Value) []byte {
	b := make([]byte, v.Get("byteLength").Int())
	js.CopyBytesToGo(b, v)
	return b
}

func bytesTo(b []byte) js.Value {
	v := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(v, b)
	return v
}

// A blob is a file of the browser. Only a Worker can read one without waiting
// for events.
type blob struct{ file, reader js.Value }

// ReadAt reads a piece. What the browser throws (the file has changed, or is gone)
// is an error.
func (b blob) ReadAt(p []byte, at int64) (n int, err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			n, err = 0, errors.New("the file cannot be read")
		}
	}()
	piece := b.file.Call("slice", float64(at), float64(at)+float64(len(p)))
	n = js.CopyBytesToGo(p, js.Global().Get("Uint8Array").New(b.reader.Call("readAsArrayBuffer", piece)))
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// charset is the browser's own decoder: it knows what the web has ever written.
func charset(name string, text []byte) (out string, err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			err = errors.New("unknown charset")
		}
	}()
	return js.Global().Get("TextDecoder").New(name).Call("decode", bytesTo(text)).String(), nil
}
