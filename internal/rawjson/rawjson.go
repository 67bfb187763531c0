// Package rawjson encodes and decodes JSON values without loss: numbers keep
// their digits, and text is not escaped for HTML.
package rawjson

import (
	"bytes"
	"encoding/json"
	"sync"
)

// encoder is a JSON encoder with its buffer.
type encoder struct {
	buf bytes.Buffer
	enc *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.enc = json.NewEncoder(&e.buf)
	e.enc.SetEscapeHTML(false)
	return e
}}

// maxPooled is the largest buffer, in bytes, that is kept for later calls.
const maxPooled = 64 << 10

// Encode returns v as JSON on one line. It returns the same bytes for the same
// value.
func Encode(v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	e.buf.Reset()
	if err := e.enc.Encode(v); err != nil {
		return nil, err // the encoder repeats its error for ever
	}
	data := bytes.Clone(bytes.TrimSuffix(e.buf.Bytes(), []byte("\n")))
	if e.buf.Cap() <= maxPooled {
		encoders.Put(e)
	}
	return data, nil
}

// Decode reads one JSON value. Numbers become [json.Number].
func Decode(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}
