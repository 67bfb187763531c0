package rawjson_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/rawjson"
	"github.com/stretchr/testify/require"
)

func TestWriter(t *testing.T) {
	t.Parallel()
	var w rawjson.Writer
	w.Text("", "before")
	w.Reset()
	w.Object("", func() {
		w.Text("text", `{a"b`)
		w.Text("empty", "")
		w.Number("price", "1.50")
		w.Number("no_price", "")
		w.Int("zero", 0)
		w.True("yes", true)
		w.True("no", false)
		w.Time("time", time.Date(2024, time.November, 23, 11, 15, 30, 5, time.FixedZone("", 3600)))
		w.Object("no_object", func() { w.Array("no_array", func() { w.Text("", "") }) })
		w.Array("list", func() {
			w.Text("", "[")
			w.Int("", 7)
			w.Object("", func() { w.Raw("raw", json.RawMessage("[1]")) })
		})
		w.Sorted([]string{"b", "d", "e"}, func(name string) {
			if name == "b" || name == "d" {
				w.Text(name, "own")
			}
		}, map[string]any{"a": json.RawMessage("1"), "d": json.RawMessage("2"), "e": json.RawMessage("3"), "f\n": json.RawMessage("4"), "g": nil})
	})
	require.Equal(t, `{"text":"{a\"b","price":1.50,"zero":0,"yes":true,"time":"2024-11-23T10:15:30Z","list":["[",7,{"raw":[1]}],`+
		`"a":1,"b":"own","d":"own","e":3,"f\n":4}`, string(w.Bytes()))
}

// FuzzWriter_Take checks that values which share their memory stay as they were.
func FuzzWriter_Take(f *testing.F) {
	f.Add("a", 3, 2)
	f.Add(strings.Repeat("b", 700), 200, 0)
	f.Add("", 1, 1<<40)
	f.Fuzz(func(t *testing.T, s string, values, more int) {
		if len(s) > 1000 || values > 200 {
			return
		}
		var w rawjson.Writer
		var taken [][]byte
		write := func(i int) {
			w.Object("", func() {
				w.Int("i", int64(i))
				w.Text("text", s[:len(s)*max(i, 0)/values])
			})
		}
		for i := range values {
			write(-1)
			w.Reset()
			write(i)
			taken = append(taken, w.Take(min(max(more, 0), values-i-1)))
		}
		for i, got := range taken {
			w.Reset()
			write(i)
			require.Equal(t, string(w.Bytes()), string(got))
			require.Equal(t, len(got), cap(got))
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "ü", `"\`, "<&>", "\x00\x1f\x7f", "\xff", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := rawjson.Encode(s)
		require.NoError(t, err)
		require.Equal(t, string(want), string(rawjson.AppendString(nil, s)))
	})
}
