// Package rawjson encodes and decodes JSON values without loss: numbers keep
// their digits, and text is not escaped for HTML.
package rawjson

import (
	"bytes"
	"encoding/json"
)

// Encode returns v as JSON on one line. It returns the same bytes for the same
// value.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode reads one JSON value. Numbers become [json.Number].
func Decode(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}

// AppendString appends s as a JSON string.
func AppendString(dst []byte, s string) []byte {
	encoded, _ := Encode(s) // a string always encodes
	return append(dst, encoded...)
}
