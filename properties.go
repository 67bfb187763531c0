package clickid

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bounds of [Event].Properties.
const (
	maxPropertyName  = 128       // characters of a name
	maxPropertyDepth = 8         // objects and arrays within one another
	maxPropertyBytes = 64 * 1024 // of all properties as JSON
)

// reservedProperties are the members that one dialect or the other fills in
// from the event's own fields, so that a property would contradict them.
var reservedProperties = map[string]string{
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

// properties are an event's properties, ready to be sent.
type properties struct {
	encoded map[string]json.RawMessage
	values  map[string]any // in JSON's types, numbers as json.Number
}

// encodeProperties encodes given and reports everything that is wrong with it
// through add.
func encodeProperties(given map[string]any, add func(field, problem string)) properties {
	if len(given) == 0 {
		return properties{}
	}
	p := properties{
		encoded: make(map[string]json.RawMessage, len(given)),
		values:  make(map[string]any, len(given)),
	}
	names := make([]string, 0, len(given))
	for name := range given {
		names = append(names, name)
	}
	slices.Sort(names)
	size := 0
	for _, name := range names {
		field := propertyField("properties", name)
		if filled, reserved := reservedProperties[name]; reserved {
			add(field, "is filled in from the event's "+filled)
			continue
		}
		encoded, err := encodeJSON(given[name])
		if err != nil {
			// The encoder's own words may quote the value.
			add(field, "cannot be encoded as JSON")
			continue
		}
		value, err := decodeJSON(encoded)
		if err != nil {
			add(field, "cannot be encoded as JSON")
			continue
		}
		size += len(name) + len(encoded) + len(`"":,`)
		checkPropertyName(field, name, add)
		checkProperty(field, name, value, 1, add)
		p.encoded[name], p.values[name] = encoded, value
	}
	if size > maxPropertyBytes {
		add("properties", fmt.Sprintf("must not be larger than %d bytes as JSON", maxPropertyBytes))
	}
	return p
}

// encodeJSON returns v as JSON in one line, with the same bytes for the same
// value, and without escapes that only HTML needs.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodeJSON reads one JSON value, numbers as json.Number.
func decodeJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}

func checkPropertyName(field, name string, add func(field, problem string)) {
	switch {
	case name == "":
		add(field, "has an empty name")
	case hasControl(name):
		add(field, "has a name with control characters")
	case len(name) > maxPropertyName:
		add(field, fmt.Sprintf("has a name of more than %d bytes", maxPropertyName))
	case personalData(name) != "":
		add(field, "has a name that "+personalData(name))
	}
}

// checkProperty looks for personal data in a property and everything in it.
func checkProperty(field, name string, value any, depth int, add func(field, problem string)) {
	if depth > maxPropertyDepth {
		add(field, fmt.Sprintf("is nested deeper than %d levels", maxPropertyDepth))
		return
	}
	switch value := value.(type) {
	case string:
		if problem := personalData(value); problem != "" {
			add(field, problem)
		} else if saysPhone(name) && isBarePhone(value) {
			add(field, problemPhone)
		}
	case json.Number:
		if saysPhone(name) && isBarePhone(value.String()) {
			add(field, problemPhone)
		}
	case []any:
		for i, element := range value {
			checkProperty(field+"["+strconv.Itoa(i)+"]", name, element, depth+1, add)
		}
	case map[string]any:
		names := make([]string, 0, len(value))
		for member := range value {
			names = append(names, member)
		}
		slices.Sort(names)
		for _, member := range names {
			inner := propertyField(field, member)
			checkPropertyName(inner, member, add)
			checkProperty(inner, member, value[member], depth+1, add)
		}
	}
}

// propertyField names a member in an error, unless its name is not fit to be
// shown: it may be a personal value itself.
func propertyField(parent, name string) string {
	if name == "" || len(name) > maxPropertyName || hasControl(name) ||
		strings.ContainsAny(name, " @+") || personalData(name) != "" || isBarePhone(name) {
		return parent + ".?"
	}
	return parent + "." + name
}
