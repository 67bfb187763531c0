package rawjson_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"testing"

	"github.com/clickid/clickid/internal/rawjson"
)

type located struct {
	ID    string `json:"id"`
	Items []struct {
		Price struct {
			Number string `json:"number"`
		} `json:"price"`
		Quantity int `json:"quantity"`
	} `json:"items"`
	Flags map[string]bool `json:"flags"`
}

var memberForm = regexp.MustCompile(`^[a-z0-9.\[\]]*$`)

// FuzzLocate checks that what cannot be decoded has a problem, and that problem
// and member name nothing of the data.
func FuzzLocate(f *testing.F) {
	for _, data := range []string{`{}`, `{"id":1}`, `{"items":[{},{"price":{"number":[]}}]}`, `{"items":{"secret":1}}`, `{"flags":{"secret":"x"}}`, `{"ID":1}`, `{"id":"a","id":2}`, `{`, `[1]`, "{\"\xff\":1}", `{"items":[{"quantity":1.5}]}`, `null`} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		member, problem := rawjson.Locate(data, reflect.TypeFor[located]())
		if !memberForm.MatchString(member) {
			t.Fatalf("%q has the member %q", data, member)
		}
		var v located
		if err := json.Unmarshal(data, &v); err != nil && problem == "" {
			t.Fatalf("%q has no problem, and %v", data, err)
		}
	})
}
