package fields

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/clickid/clickid"
)

const maxName = 100 // bytes of an unknown member's name

// Decode decodes an event from JSON. Unlike json.Unmarshal it refuses unknown
// members: a mistyped value would be a sale without a value. The error is a
// *[Problem].
func Decode(data []byte) (clickid.Event, error) {
	var e clickid.Event
	if err := json.Unmarshal(data, &e); err != nil {
		return e, problemOf(err)
	}
	type plain clickid.Event // without UnmarshalJSON, which allows unknown members
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(new(plain))
	if err == nil {
		if isMissing(e.Click.ID) {
			e.Click = clickid.Click{}
		}
		return e, nil
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if len(name) > maxName {
			name = strings.ToValidUTF8(name[:maxName], "") + "…"
		}
		return e, &Problem{Field: name, Reason: "is not a field of an event"}
	}
	return e, problemOf(err)
}

// problemOf returns the field and the problem of a decoding error.
func problemOf(err error) error {
	text, decoding := strings.CutPrefix(err.Error(), "clickid: decoding the event: ")
	field, problem, ok := strings.Cut(text, " ")
	if !decoding || !ok || field == "it" {
		return &Problem{Reason: "is not an event in JSON"}
	}
	return &Problem{Field: field, Reason: problem}
}
