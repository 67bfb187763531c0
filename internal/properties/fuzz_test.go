package properties_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/personaldata"
	"github.com/clickid/clickid/internal/properties"
	"github.com/clickid/clickid/internal/rawjson"
)

// FuzzEncoder checks that each member is either sent with its value or left out
// for a reason, that a sent one has neither an e-mail address nor another name,
// that members which are sent can be sent again, and that reasons repeat no
// address.
func FuzzEncoder(f *testing.F) {
	for _, raw := range []string{
		"", "1", "null", "[]", `{"a":{"b":[1,"x"]}}`, `{"a":1,"a":2}`, `"anna@example.com"`, `{"phone":4930901820}`, "1e999", `"\ud800"`, "[[[[[[[[[1]]]]]]]]]", `{"":1}`,
	} {
		f.Add("coupon", "other", []byte(raw))
	}
	for _, name := range []string{"", "value", "anna@example.com", "a\nb", "phone", "4930901820", strings.Repeat("x", 129), "\xff"} {
		f.Add(name, name, []byte(`"SPRING"`))
	}
	f.Fuzz(func(t *testing.T, name, text string, raw []byte) {
		given := map[string]any{name: json.RawMessage(raw), "text": text, "list": []any{text, string(raw)}}
		var e properties.Encoder
		sent, leftOut := e.Properties(given)
		if len(sent)+len(leftOut) != len(given) {
			t.Fatalf("%v and %v of %v", sent, leftOut, given)
		}
		for _, l := range leftOut {
			if l.Problem == "" || !strings.HasPrefix(l.Field, "properties") || strings.Contains(l.Field+l.Problem, "@") {
				t.Fatalf("%v was left out for %q", l.Field, l.Problem)
			}
		}
		size := 0
		for member, value := range sent {
			data := value.(json.RawMessage)
			size += len(member) + len(data)
			got, err := rawjson.Decode(data)
			if err != nil || personaldata.ProblemOfEmail(member) != "" {
				t.Fatalf("%q is sent as %s: %v", member, data, err)
			}
			texts(got, func(s string) {
				if personaldata.Problem(s) != "" {
					t.Fatalf("%q is sent with %q", member, s)
				}
			})
			// Decodes twice: json.Marshal replaces invalid UTF-8 in texts.
			whole, err := rawjson.Encode(given[member])
			if err != nil {
				t.Fatalf("%v cannot be encoded and is sent: %v", given[member], err)
			}
			if want, err := rawjson.Decode(whole); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s is sent as %s: %v", whole, data, err)
			}
		}
		if size > 64<<10 {
			t.Fatalf("%d bytes are sent", size)
		}
		e = properties.Encoder{}
		if again, leftOut := e.Properties(sent); len(leftOut) > 0 || len(sent) > 0 && !reflect.DeepEqual(again, sent) {
			t.Fatalf("%v became %v without %v", sent, again, leftOut)
		}
	})
}

// texts calls f with each name and text of a value.
func texts(value any, f func(string)) {
	switch value := value.(type) {
	case string:
		f(value)
	case []any:
		for _, element := range value {
			texts(element, f)
		}
	case map[string]any:
		for name, member := range value {
			f(name)
			texts(member, f)
		}
	}
}
