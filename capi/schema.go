package capi

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/rawjson"
	"github.com/clickid/clickid/internal/text"
)

// remarks collects what a dialect finds in an event: warnings about what it
// leaves out or changes, and the fields for which it cannot send the event.
type remarks struct {
	warnings []string
	refused  []clickid.FieldError
}

func (r *remarks) leaveOut(field, problem string) {
	r.warnings = append(r.warnings, field+" was left out: it "+problem)
}

func (r *remarks) change(field, how string) {
	r.warnings = append(r.warnings, field+" was changed: "+how)
}

func (r *remarks) refuse(field, problem string) {
	r.refused = append(r.refused, clickid.FieldError{Field: field, Problem: problem})
}

// schema describes the documented properties of a dialect. Each function
// returns the value as it is sent, or what is wrong with it.
type schema map[string]func(v any) (sent any, problem string)

// fit brings the documented properties of e into their form, and leaves out
// those that have none. The given map is not changed.
func (s schema) fit(e *clickid.Event, r *remarks) {
	copied := false
	for _, name := range slices.Sorted(maps.Keys(e.Properties)) {
		rule, ok := s[name]
		encoded, isJSON := e.Properties[name].(json.RawMessage)
		if !ok || !isJSON {
			continue
		}
		value, err := rawjson.Decode(encoded)
		problem := "cannot be encoded as JSON"
		if err == nil {
			value, problem = rule(value)
		}
		var data []byte
		if problem == "" {
			if data, err = rawjson.Encode(value); err != nil {
				problem = "cannot be encoded as JSON"
			} else if string(data) == string(encoded) {
				continue
			}
		}
		if !copied {
			e.Properties, copied = maps.Clone(e.Properties), true
		}
		if problem != "" {
			delete(e.Properties, name)
			r.leaveOut("properties."+name, problem)
			continue
		}
		e.Properties[name] = json.RawMessage(data)
	}
}

// isText takes a string of 1 to limit characters; 0 means any length.
func isText(limit int) func(any) (any, string) {
	return func(v any) (any, string) {
		s, ok := v.(string)
		switch {
		case !ok || s == "":
			return nil, "must be a string that is not empty"
		case limit > 0 && text.Longer(s, limit):
			return nil, fmt.Sprintf("must not be longer than %d characters", limit)
		}
		return s, ""
	}
}

// isTexts takes an array of strings of 1 to limit characters, or one string.
func isTexts(limit int) func(any) (any, string) {
	return func(v any) (any, string) {
		if s, ok := v.(string); ok {
			v = []any{s}
		}
		list, ok := v.([]any)
		if !ok {
			return nil, "must be an array of strings"
		}
		for _, element := range list {
			if _, problem := isText(limit)(element); problem != "" {
				return nil, "must be an array of strings: an element " + problem
			}
		}
		return list, ""
	}
}

// maxInteger is the largest integer that every reader of JSON represents.
const maxInteger = 1 << 53

// isInteger takes an integer from 0 to 2^53 in any form, such as 2.0, and sends
// it without point and exponent.
func isInteger(v any) (any, string) {
	const problem = "must be an integer from 0 to 2^53"
	n, ok := v.(json.Number)
	if !ok {
		return nil, problem
	}
	// The range is checked first: the exact form of 1e999999999 takes a while.
	if f, err := n.Float64(); err != nil || f < 0 || f > maxInteger || f != math.Trunc(f) {
		return nil, problem
	}
	exact, ok := new(big.Rat).SetString(n.String())
	if !ok || !exact.IsInt() || exact.Num().Cmp(big.NewInt(maxInteger)) > 0 {
		return nil, problem
	}
	return json.Number(exact.Num().String()), ""
}

// isNumber takes a number from 0 to limit, both included.
func isNumber(limit float64) func(any) (any, string) {
	problem := "must be a number of at least 0"
	if !math.IsInf(limit, 1) {
		problem = fmt.Sprintf("must be a number from 0 to %v", limit)
	}
	return func(v any) (any, string) {
		n, ok := v.(json.Number)
		if !ok {
			return nil, problem
		}
		if f, err := n.Float64(); err != nil || f < 0 || f > limit {
			return nil, problem
		}
		return n, ""
	}
}

// isObject takes an object.
func isObject(v any) (any, string) {
	if _, ok := v.(map[string]any); !ok {
		return nil, "must be an object"
	}
	return v, ""
}
