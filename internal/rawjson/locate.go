package rawjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

const module = "github.com/clickid/clickid"

// Locate returns the member of data that cannot be decoded into a value of
// type t, such as "items[2].price", and what is wrong with it. It contains
// nothing of data: members are named as the type names them. The member is ""
// when it is data as a whole.
func Locate(data []byte, t reflect.Type) (member, problem string) {
	if !json.Valid(data) {
		return "", "must be one valid JSON value"
	}
	return locate(bytes.TrimSpace(data), t)
}

func locate(data []byte, t reflect.Type) (member, problem string) {
	decodable := func(data []byte, t reflect.Type) bool {
		return json.Unmarshal(data, reflect.New(t).Interface()) == nil
	}
	custom := reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
	switch {
	case t.Kind() == reflect.Struct && !custom && bytes.HasPrefix(data, []byte("{")):
		var members map[string]json.RawMessage
		if json.Unmarshal(data, &members) != nil {
			break
		}
		for i := range t.NumField() {
			field := t.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			for given, value := range members {
				if strings.EqualFold(given, name) && !decodable(value, field.Type) {
					inner, problem := locate(value, field.Type)
					if inner != "" && inner[0] != '[' {
						inner = "." + inner
					}
					return name + inner, problem
				}
			}
		}
	case t.Kind() == reflect.Slice && !custom && bytes.HasPrefix(data, []byte("[")):
		var elements []json.RawMessage
		if json.Unmarshal(data, &elements) != nil {
			break
		}
		for i, value := range elements {
			if !decodable(value, t.Elem()) {
				inner, problem := locate(value, t.Elem())
				if inner != "" && inner[0] != '[' {
					inner = "." + inner
				}
				return fmt.Sprintf("[%d]%s", i, inner), problem
			}
		}
	}
	return "", expectation(data, t)
}

// expectation describes the JSON of a type that data is not.
func expectation(data []byte, t reflect.Type) string {
	if t.PkgPath() == module {
		// Errors of these types contain no value.
		if err := json.Unmarshal(data, reflect.New(t).Interface()); err != nil && strings.HasPrefix(err.Error(), "clickid: ") {
			return "is wrong: " + strings.TrimPrefix(err.Error(), "clickid: ")
		}
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)"
	case t.Kind() == reflect.String:
		return "must be a string"
	case t.Kind() == reflect.Bool:
		return "must be true or false"
	case t.Kind() == reflect.Slice:
		return "must be an array"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "must be an integer"
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Map:
		return "must be an object"
	}
	return "has another type"
}
