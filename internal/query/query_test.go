package query_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clickid/clickid/internal/query"
	"github.com/clickid/clickid/internal/text"
	"github.com/clickid/clickid/internal/ulid"
	"github.com/stretchr/testify/require"
)

const (
	earlier = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	later   = "01BX5ZZKBKACTAV9WEVGEMMVRZ"
)

func accept(id string) bool { return text.Unreserved(id, query.MaxValue) }

func TestFind(t *testing.T) {
	t.Parallel()
	params := query.New([]string{"clkid", "sc3clid"})
	for _, tt := range []struct{ name, raw, value, param string }{
		{"the first ULID among repeated values", "clkid=abc&clkid=" + earlier + "&clkid=" + later, earlier, "clkid"},
		{"the first name before a ULID of the second", "sc3clid=" + earlier + "&clkid=abc", "abc", "clkid"},
		{"a missing value before a ULID", "clkid=undefined&clkid=" + earlier, earlier, "clkid"},
		{"a second question mark", "a=b?clkid=" + earlier, earlier, "clkid"},
		{"a second question mark after the click", "clkid=" + earlier + "?utm_source=scope3", earlier, "clkid"},
		{"HTML's ampersand", "a=1&amp;clkid=abc", "abc", "clkid"},
		{"its number", "a=1&#038;clkid=abc", "abc", "clkid"},
		{"a semicolon", "a=1;clkid=abc", "abc", "clkid"},
		{"a proper pair before one in another value", "next=/x?clkid=def&clkid=abc", "abc", "clkid"},
		{"capitals", "CLKID=abc", "abc", "clkid"},
		{"mixed case", "Sc3ClId=abc", "abc", "sc3clid"},
		{"encoded as a whole", "utm_source%3Dscope3%26clkid%3Dabc", "abc", "clkid"},
		{"an encoded equals sign", "clkid%3Dabc&x=1", "abc", "clkid"},
		{"a full stop after a ULID", "clkid=" + earlier + ".", earlier, "clkid"},
		{"a slash after a ULID", "clkid=" + earlier + "/", earlier, "clkid"},
		{"a space after a ULID", "clkid=" + earlier + "%20", earlier, "clkid"},
		{"quotes around a ULID", "clkid=%22" + earlier + "%22", earlier, "clkid"},
		{"a fragment after a ULID", "clkid=" + earlier + "%23top", earlier, "clkid"},
		{"a full stop after another ID", "clkid=abc.", "abc.", "clkid"},
	} {
		f := params.Find(tt.raw, accept)
		require.Equal(t, tt.value, f.Value, tt.name)
		require.Equal(t, tt.param, f.Param, tt.name)
		require.True(t, f.Present, tt.name)
		if stripped := params.Strip(tt.raw); strings.ContainsAny(tt.raw, "=") {
			require.False(t, params.Find(stripped, accept).Present, "%s: %q", tt.name, stripped)
		}
	}
}

func TestFind_placeholders(t *testing.T) {
	t.Parallel()
	params := query.New([]string{"clkid"})
	any := func(string) bool { return true }
	for _, value := range []string{
		"", "null", "NULL", "undefined", "none", "nil", "NaN", "true", "false", "0", "-", "n/a", "N%2FA", "--", "...",
		"{clkid}", "{{CLICK_ID}}", "[CLICK_ID]", "%5BCLICKID%5D", "<click id>", "${CLICK_ID}", "%25%25CLICK_ID%25%25", "(clickid)",
		"__CLICKID__", "__anything__", "CLICK_ID", "click-id", "ClickId", "clkid", "CLKID", "YOUR_CLICK_ID",
	} {
		f := params.Find("clkid="+value, any)
		require.Empty(t, f.Value, value)
		require.True(t, f.Present, value)
	}
	for _, value := range []string{"abc", "00", "nullable", "1", "truest", "clickid1"} {
		require.Equal(t, value, params.Find("clkid="+value, any).Value)
	}
}

func TestFind_source(t *testing.T) {
	t.Parallel()
	params := query.New([]string{"clkid"})
	for raw, want := range map[string]bool{
		"utm_source=scope3": true, "a=1&utm_source=Scope3&b=2": true, "utm_source=scope3&clkid=": true,
		"utm_source=scope3&clkid=abc": false, "utm_source=scope30": false, "source=scope3": false, "": false,
	} {
		require.Equal(t, want, params.Find(raw, accept).Source, raw)
	}
}

// BenchmarkFind_flood reads queries of up to one MiB, as long as net/http accepts
// by default. The rate does not depend on the size.
func BenchmarkFind_flood(b *testing.B) {
	params := query.New([]string{"clkid", "sc3clid"})
	for _, part := range []string{"&", ";", "?", "clkid&", "clkid=%20&", "%63lkid=%zz;", "u", "%"} {
		for _, size := range []int{1 << 16, 1 << 20} {
			raw := strings.Repeat(part, size/len(part))
			b.Run(fmt.Sprintf("%s/%d", part, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(raw)))
				for range b.N {
					params.Find(raw, accept)
				}
			})
		}
	}
}

func TestFind_allocations(t *testing.T) {
	params := query.New([]string{"clkid", "sc3clid"})
	for _, raw := range []string{
		"", "utm_source=newsletter&utm_medium=email&q=shoes%20red", "clkid=" + earlier, "a=1;b=2?c=3", "size=42&color=blue&clkids=1",
	} {
		require.Zero(t, testing.AllocsPerRun(100, func() { params.Find(raw, accept) }), raw)
	}
}

var separators = regexp.MustCompile("[&;?]")

// slowFind is Find without speed: it decodes everything and compares every
// prefix of a pair.
func slowFind(names []string, raw string) (f query.Found) {
	type candidate struct {
		value  string
		isULID bool
		proper bool
	}
	if !strings.Contains(raw, "=") && strings.Contains(raw, "%") && len(raw) <= 8<<10 {
		if decoded, err := url.PathUnescape(raw); err == nil {
			raw = decoded
		}
	}
	found := map[string][]candidate{}
	ends := append(separators.FindAllStringIndex(raw, -1), []int{len(raw), len(raw)})
	start, proper, count := 0, true, 0
	for _, end := range ends {
		pair := raw[start:end[0]]
		start = end[1]
		wasProper := proper
		proper = raw[end[0]:end[1]] == "&"
		if strings.EqualFold(pair, "utm_source=scope3") {
			f.Source = true
		}
		for _, name := range names {
			value, ok := slowValue(pair, name)
			if !ok {
				continue
			}
			if !f.Present {
				f.Present, f.Param = true, name
			}
			if count++; count > 64 {
				continue
			}
			decoded, err := url.QueryUnescape(value)
			if err != nil || len(value) > 3*query.MaxValue && decoded != value {
				continue
			}
			trimmed := strings.Trim(strings.Split(decoded, "#")[0], " \t\r\n\u00a0\"'“”‘’/.")
			if ulid.Valid(trimmed) {
				decoded = trimmed
			}
			if accept(decoded) && !slices.Contains([]string{"null", "undefined", "none", "nil", "nan", "true", "false", "0", "na"}, strings.ToLower(decoded)) &&
				!placeholder.MatchString(decoded) {
				found[name] = append(found[name], candidate{decoded, ulid.Valid(decoded), wasProper})
			}
		}
	}
	for _, name := range names {
		for _, rule := range []func(candidate) bool{
			func(c candidate) bool { return c.isULID && c.proper },
			func(c candidate) bool { return c.isULID },
			func(c candidate) bool { return c.proper },
			func(candidate) bool { return true },
		} {
			if i := slices.IndexFunc(found[name], rule); i >= 0 {
				f.Value, f.Param, f.Source = found[name][i].value, name, false
				return f
			}
		}
	}
	return f
}

// placeholder matches values other than clicks among those of unreserved characters.
var placeholder = regexp.MustCompile(`(?i)^(__.*__|_|[-._~]*|.*c[-._~]*l[-._~]*i[-._~]*c[-._~]*k[-._~]*i[-._~]*d[-._~]*|[-._~]*c[-._~]*l[-._~]*k[-._~]*i[-._~]*d[-._~]*|[-._~]*s[-._~]*c[-._~]*3[-._~]*c[-._~]*l[-._~]*i[-._~]*d[-._~]*)$`)

func slowValue(pair, name string) (string, bool) {
	for end := len(name); end <= min(len(pair), 3*len(name)); end++ { // three bytes for each that is encoded
		decoded, err := url.PathUnescape(pair[:end])
		if err != nil || strings.ToLower(decoded) != name || len(decoded) != len(name) {
			continue
		}
		rest := pair[end:]
		switch {
		case rest == "":
			return "", true
		case rest[0] == '=':
			return rest[1:], true
		case strings.HasPrefix(strings.ToUpper(rest), "%3D"):
			return rest[3:], true
		}
	}
	return "", false
}

// FuzzFind compares the tolerant scanner with the slow one.
func FuzzFind(f *testing.F) {
	for _, raw := range []string{
		"", "clkid=abc", "clkid=" + earlier + "&x=1", "sc3clid=b&clkid=a", "clkid=&clkid=%zz&clkid=a", "%63lkid=%61",
		"clkid", "a=1;clkid=b", "clkid=a;b", "&&clkid=a&&", "=clkid&clkid=%00", "clkid=a+b", "f%5B%5D=1&clki%6=a&%&%4", "clkid=%2561",
		"clkid=a%0d%0a", "clkid=\xff", "q=\x00&clkid=a", "utm_source=scope3", "a=b?clkid=X", "CLKID=X", "clkid%3DX%26a%3D1",
		"clkid=" + earlier + ".", "clkid=undefined&clkid=" + earlier, "a&amp;clkid=X", "clkid=__CLICKID__", "clkid=-", "clkid%3d",
		strings.Repeat("c", 1<<16), strings.Repeat("clkid=a;", 1<<12), strings.Repeat("%63", 1<<14),
	} {
		f.Add(raw)
	}
	names := []string{"clkid", "sc3clid"}
	params := query.New(names)
	f.Fuzz(func(t *testing.T, raw string) {
		got, want := params.Find(raw, accept), slowFind(names, raw)
		if got.Value == "" && strings.Count(raw, "=") > 60 {
			return // the bound on candidates ends the scan for the source too
		}
		if got != want {
			t.Fatalf("%q: got %+v, want %+v", raw, got, want)
		}
		if stripped := params.Strip(raw); strings.Contains(raw, "=") && params.Find(stripped, accept).Present &&
			strings.Contains(stripped, "=") {
			t.Fatalf("%q: %q still has the parameter", raw, stripped)
		}
	})
}
