package fields

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"id":"1","value":{"number":1,"currency":"EUR"}}`: "",
		`{"id":"1","valeu":{"number":1}}`:                  `"valeu" is not a field of an event`,
		`{"id":"1","user":{"mail":"x"}}`:                   `"mail" is not a field of an event`,
		`{"id":"1","properties":{"any":{"name":1}}}`:       "",
		`{"id":1}`:              "id must be a string",
		`[]`:                    "is not an event in JSON",
		`{"id":"1"} {"id":"2"}`: "is not an event in JSON",
		``:                      "is not an event in JSON",
		`{"` + strings.Repeat("ä", 200) + `":1}`: `"` + strings.Repeat("ä", 49) + "… is not a field of an event",
	} {
		e, err := Decode([]byte(text))
		if want == "" {
			require.NoError(t, err, text)
			require.Equal(t, "1", e.ID)
			continue
		}
		var problem *Problem
		require.ErrorAs(t, err, &problem, text)
		require.EqualError(t, err, want, text)
	}
}
