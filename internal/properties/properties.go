// Package properties encodes the application's own properties of an event and
// checks them.
package properties

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clickid/clickid/internal/personaldata"
	"github.com/clickid/clickid/internal/rawjson"
	"github.com/clickid/clickid/internal/text"
)

// Bounds of an event's properties.
const (
	maxName  = 128       // characters of a name
	maxDepth = 8         // objects and arrays within one another
	maxBytes = 64 * 1024 // of all properties as JSON
)

// reserved holds the members that one dialect or the other fills in
// from the event's own fields, so that a property would contradict them.
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

// Encode returns the properties in JSON, each as a [json.RawMessage] under its
// name, and calls problem for everything that is wrong with them. Names that
// are not fit to be shown appear as "?".
func Encode(given map[string]any, problem func(field, problem string)) map[string]any {
	if len(given) == 0 {
		return nil
	}
	encoded := make(map[string]any, len(given))
	names := make([]string, 0, len(given))
	for name := range given {
		names = append(names, name)
	}
	slices.Sort(names)
	size := 0
	for _, name := range names {
		field := fieldName("properties", name)
		if filled, ok := reserved[name]; ok {
			problem(field, "is filled in from the event's "+filled)
			continue
		}
		data, err := rawjson.Encode(given[name])
		if err != nil {
			// The encoder's own words may quote the value.
			problem(field, "cannot be encoded as JSON")
			continue
		}
		value, err := rawjson.Decode(data)
		if err != nil {
			problem(field, "cannot be encoded as JSON")
			continue
		}
		size += len(name) + len(data) + len(`"":,`)
		checkName(field, name, problem)
		checkValue(field, name, value, 1, problem)
		encoded[name] = json.RawMessage(data)
	}
	if size > maxBytes {
		problem("properties", fmt.Sprintf("must not be larger than %d bytes as JSON", maxBytes))
	}
	return encoded
}

func checkName(field, name string, add func(field, problem string)) {
	switch {
	case name == "":
		add(field, "has an empty name")
	case text.HasControl(name):
		add(field, "has a name with control characters")
	case len(name) > maxName:
		add(field, fmt.Sprintf("has a name of more than %d bytes", maxName))
	case personaldata.Problem(name) != "":
		add(field, "has a name that "+personaldata.Problem(name))
	}
}

// checkValue looks for personal data in a property and everything in it.
func checkValue(field, name string, value any, depth int, add func(field, problem string)) {
	if depth > maxDepth {
		add(field, fmt.Sprintf("is nested deeper than %d levels", maxDepth))
		return
	}
	switch value := value.(type) {
	case string:
		if problem := personaldata.Problem(value); problem != "" {
			add(field, problem)
		} else if personaldata.NamesPhone(name) && personaldata.IsBarePhone(value) {
			add(field, personaldata.ProblemPhone)
		}
	case json.Number:
		if personaldata.NamesPhone(name) && personaldata.IsBarePhone(value.String()) {
			add(field, personaldata.ProblemPhone)
		}
	case []any:
		for i, element := range value {
			checkValue(field+"["+strconv.Itoa(i)+"]", name, element, depth+1, add)
		}
	case map[string]any:
		names := make([]string, 0, len(value))
		for member := range value {
			names = append(names, member)
		}
		slices.Sort(names)
		for _, member := range names {
			inner := fieldName(field, member)
			checkName(inner, member, add)
			checkValue(inner, member, value[member], depth+1, add)
		}
	}
}

// fieldName names a member in an error, unless its name is not fit to be
// shown: it may be a personal value itself.
func fieldName(parent, name string) string {
	if name == "" || len(name) > maxName || text.HasControl(name) ||
		strings.ContainsAny(name, " @+") || personaldata.Problem(name) != "" || personaldata.IsBarePhone(name) {
		return parent + ".?"
	}
	return parent + "." + name
}
