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

// schema describes the documented members of an object. Each function returns
// the value as it is sent, or its problem.
type schema map[string]func(v any) (sent any, problem string)

// anyMember is the name by which a schema allows members that it does not list.
// Without it they are left out.
const anyMember = ""

// fit returns the given members in their form, without those that have none. It
// does not change the map. It warns of members that are left out, unless only
// the other schema documents them.
func (s schema) fit(field string, given map[string]any, other schema, leaveOut func(field, problem string)) map[string]any {
	if len(given) == 0 {
		return given
	}
	members, copied := given, false
	_, open := s[anyMember]
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if open && s[name] == nil {
			continue
		}
		data, problem := s.member(name, given[name])
		if problem == "" && string(data) == string(given[name].(json.RawMessage)) {
			continue
		}
		if !copied {
			members, copied = maps.Clone(given), true
		}
		if problem == "" {
			members[name] = json.RawMessage(data)
			continue
		}
		delete(members, name)
		if problem != problemUnknown || !other.documents(name) {
			leaveOut(field+"."+name, problem)
		}
	}
	return members
}

// documents reports whether s allows a member.
func (s schema) documents(name string) bool {
	_, open := s[anyMember]
	return open || s[name] != nil
}

const problemUnknown = "is not a member that the dialect documents here"

// member returns a member as it is sent, or its problem.
func (s schema) member(name string, given any) (data json.RawMessage, problem string) {
	encoded, ok := given.(json.RawMessage)
	rule := s[name]
	switch {
	case !ok:
		return nil, "cannot be encoded as JSON"
	case rule == nil:
		return nil, problemUnknown
	}
	value, err := rawjson.Decode(encoded)
	if err != nil {
		return nil, "cannot be encoded as JSON"
	}
	if value, problem = rule(value); problem != "" {
		return nil, problem
	}
	if data, err = rawjson.Encode(value); err != nil {
		return nil, "cannot be encoded as JSON"
	}
	return data, ""
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

// isInteger takes an integer from low to high in any form, such as 2.0, and
// sends it without point and exponent.
func isInteger(low, high int64) func(any) (any, string) {
	problem := fmt.Sprintf("must be an integer from %d to %d", low, high)
	if high == maxInteger {
		problem = fmt.Sprintf("must be an integer from %d to 2^53", low)
	}
	return func(v any) (any, string) {
		n, ok := v.(json.Number)
		if !ok {
			return nil, problem
		}
		// The range is checked first: the exact form of 1e999999999 takes a while.
		if f, err := n.Float64(); err != nil || f < float64(low) || f > float64(high) || f != math.Trunc(f) {
			return nil, problem
		}
		exact, ok := new(big.Rat).SetString(n.String())
		if !ok || !exact.IsInt() || exact.Num().Cmp(big.NewInt(high)) > 0 {
			return nil, problem
		}
		return json.Number(exact.Num().String()), ""
	}
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
