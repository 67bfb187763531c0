// Package properties checks and encodes the properties and extra members of an
// event.
package properties

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/clickid/clickid/internal/personaldata"
	"github.com/clickid/clickid/internal/rawjson"
	"github.com/clickid/clickid/internal/text"
)

// Limits of the free members of an event.
const (
	maxName  = 128       // characters of a name
	maxDepth = 8         // nested objects and arrays
	maxBytes = 64 * 1024 // of all members of an event as JSON
)

// reserved contains the members that a dialect sets from the event's fields.
var reserved = map[string]string{
	"value":             "value",
	"currency":          "value",
	"currency_code":     "value",
	"order_id":          "order_id",
	"transaction_id":    "order_id",
	"items":             "items",
	"contents":          "items",
	"page_url":          "page_url",
	"event_source_url":  "page_url",
	"custom_event":      "custom_name",
	"custom_event_name": "custom_name",
}

// Encoder encodes the free members of one event: its properties and the extra
// members of its objects. Together they may take maxBytes. The zero value is
// ready.
type Encoder struct {
	// KeepNumbers does not look for phone numbers in text.
	KeepNumbers bool

	used int // bytes
}

// LeftOut is a member that cannot be sent. Field has "?" instead of a name that
// may be personal.
type LeftOut struct{ Field, Problem string }

// Properties returns the event's properties as [json.RawMessage] by name, and
// those that cannot be sent.
func (e *Encoder) Properties(given map[string]any) (encoded map[string]any, leftOut []LeftOut) {
	return e.encode("properties", given, reserved)
}

// Extra is Properties for the extra members in a field.
func (e *Encoder) Extra(field string, given map[string]any) (encoded map[string]any, leftOut []LeftOut) {
	return e.encode(field, given, nil)
}

func (e *Encoder) encode(parent string, given map[string]any, reserved map[string]string) (encoded map[string]any, leftOut []LeftOut) {
	if len(given) == 0 {
		return nil, nil
	}
	encoded = make(map[string]any, len(given))
	size := 0
	for _, name := range slices.Sorted(maps.Keys(given)) {
		field := fieldName(parent, name)
		if filled, ok := reserved[name]; ok {
			leftOut = append(leftOut, LeftOut{field, "is filled in from the event's " + filled})
			continue
		}
		data, field, problem := e.member(field, name, given[name])
		if problem != "" {
			leftOut = append(leftOut, LeftOut{field, problem})
			continue
		}
		size += memberSize(name, data)
		encoded[name] = data
	}
	if e.used+size > maxBytes {
		var large []LeftOut
		size, large = e.shrink(parent, encoded, size)
		leftOut = append(leftOut, large...)
	}
	e.used += size
	return encoded, leftOut
}

func memberSize(name string, data json.RawMessage) int { return len(name) + len(data) + len(`"":,`) }

// shrink removes the largest members until the others are small enough, and
// returns their size.
func (e *Encoder) shrink(parent string, encoded map[string]any, size int) (left int, leftOut []LeftOut) {
	length := func(name string) int { return len(encoded[name].(json.RawMessage)) }
	names := slices.Sorted(maps.Keys(encoded))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(length(b), length(a)) })
	for _, name := range names {
		if e.used+size <= maxBytes {
			break
		}
		size -= memberSize(name, encoded[name].(json.RawMessage))
		delete(encoded, name)
		problem := fmt.Sprintf("is too large; properties and extra members may take %d bytes as JSON", maxBytes)
		leftOut = append(leftOut, LeftOut{fieldName(parent, name), problem})
	}
	return size, leftOut
}

// member returns a member as JSON, or the field that cannot be sent and its
// problem.
func (e *Encoder) member(field, name string, given any) (data json.RawMessage, wrong, problem string) {
	if problem := nameProblem(name); problem != "" {
		return nil, field, problem
	}
	data, err := encode(given)
	if err != nil {
		// The error of the encoder may contain the value.
		return nil, field, "cannot be encoded as JSON"
	}
	value, err := rawjson.Decode(data)
	if err != nil {
		return nil, field, "cannot be encoded as JSON"
	}
	if inner, problem := e.check(field, name, value, 1); problem != "" {
		return nil, inner, problem
	}
	// Sends the checked value, and no second member of the same name.
	if data, err = rawjson.Encode(value); err != nil {
		return nil, field, "cannot be encoded as JSON"
	}
	return data, "", ""
}

// encode encodes a value of the application. It returns an error if MarshalJSON
// panics.
func encode(v any) (data []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return rawjson.Encode(v)
}

var errPanic = errors.New("MarshalJSON panicked")

func nameProblem(name string) string {
	switch {
	case name == "":
		return "has an empty name"
	case text.HasControl(name):
		return "has a name with control characters"
	case len(name) > maxName:
		return fmt.Sprintf("has a name of more than %d bytes", maxName)
	case personaldata.Problem(name) != "":
		return "has a name that " + personaldata.Problem(name)
	}
	return ""
}

// check returns the first field in a property that cannot be sent, and its
// problem.
func (e *Encoder) check(field, name string, value any, depth int) (wrong, problem string) {
	if depth > maxDepth {
		return field, fmt.Sprintf("is nested deeper than %d levels", maxDepth)
	}
	if personaldata.NamesPostalAddress(name) {
		return field, personaldata.ProblemAddress
	}
	switch value := value.(type) {
	case string:
		problemOf := personaldata.Problem
		if e.KeepNumbers {
			problemOf = personaldata.ProblemOfEmail
		}
		if problem := problemOf(value); problem != "" {
			return field, problem
		}
		if personaldata.NamesPhone(name) && personaldata.IsBarePhone(value) {
			return field, personaldata.ProblemPhone
		}
	case json.Number:
		if personaldata.NamesPhone(name) && personaldata.IsBarePhone(value.String()) {
			return field, personaldata.ProblemPhone
		}
		if _, err := value.Float64(); err != nil {
			return field, "is a number that receivers cannot represent"
		}
	case []any:
		for i, element := range value {
			if wrong, problem := e.check(field+"["+strconv.Itoa(i)+"]", name, element, depth+1); problem != "" {
				return wrong, problem
			}
		}
	case map[string]any:
		for _, member := range slices.Sorted(maps.Keys(value)) {
			inner := fieldName(field, member)
			if problem := nameProblem(member); problem != "" {
				return inner, problem
			}
			if wrong, problem := e.check(inner, member, value[member], depth+1); problem != "" {
				return wrong, problem
			}
		}
	}
	return "", ""
}

// fieldName returns the name of a member for an error, or "?" if the name may
// be personal.
func fieldName(parent, name string) string {
	if name == "" || len(name) > maxName || text.HasControl(name) ||
		strings.ContainsAny(name, " @+") || personaldata.Problem(name) != "" || personaldata.IsBarePhone(name) {
		return parent + ".?"
	}
	return parent + "." + name
}
