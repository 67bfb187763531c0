// Package query scans raw query strings for click parameters. It runs on every
// page of a site: a query without a click parameter costs one pass and no
// allocation.
//
// Links get broken on their way through mail programs, redirectors and
// templates. The scanner therefore separates pairs at "&", at ";" (which also
// covers "&amp;" and "&#038;") and at a second "?", compares names in any case
// and percent-encoding, and reads a query that is percent-encoded as a whole.
package query

import (
	"net/url"
	"strings"

	"github.com/clickid/clickid/internal/ulid"
)

const (
	// MaxValue is the longest value, in bytes, that can be a click ID.
	MaxValue = 512
	// maxCandidates bounds the values of one query that are decoded and
	// checked. Links have one or two.
	maxCandidates = 64
	// maxEncoded bounds the query that is decoded as a whole.
	maxEncoded = 8 << 10
)

// Params are the names of click parameters.
type Params struct {
	names []string  // as configured
	lower []string  // the same in lower case
	first [256]bool // the bytes with which a pair of these names begins
}

// New returns the parameters of these names, which consist of unreserved
// characters.
func New(names []string) *Params {
	p := &Params{names: names}
	for _, name := range names {
		lower := strings.ToLower(name)
		p.lower = append(p.lower, lower)
		p.first[lower[0]] = true
		p.first[strings.ToUpper(lower)[0]] = true
	}
	p.first['%'] = true
	return p
}

// Names returns the names as configured.
func (p *Params) Names() []string { return p.names }

// source marks visitors whom the platform sent: its redirect adds this pair
// beside the click ID, so that the one without the other is a click that was
// lost on the way.
const source = "utm_source=scope3"

// Found is what a query holds.
type Found struct {
	// Value is the click ID, or "" if no value is accepted.
	Value string
	// Param is the name of its parameter, or of the first one whose value was
	// not accepted.
	Param string
	// Present reports whether the query has a click parameter, with any value.
	Present bool
	// Source reports whether the query names the platform as the visitor's source.
	// It is only set when Value is empty.
	Source bool
}

// Find looks for the parameters in one pass. The first name with an accepted
// value wins; among repeated values of a name the first ULID wins, else the
// first that is accepted.
func (p *Params) Find(raw string, accept func(string) bool) (f Found) {
	if raw == "" {
		return Found{}
	}
	raw, tolerant := prepare(raw)
	separators := &usual
	if tolerant {
		separators = &tolerated
	}
	best, candidates := 4*len(p.names), 0
	for start := 0; ; {
		for start < len(raw) && separators[raw[start]] {
			start++
		}
		if start >= len(raw) {
			break
		}
		pair, _ := cut(raw[start:], tolerant)
		broken := start > 0 && raw[start-1] != '&'
		start += len(pair) + 1
		if len(pair) == len(source) && strings.EqualFold(pair, source) {
			f.Source = true
			continue
		}
		if pair == "" || !p.first[pair[0]] {
			continue
		}
		i, value := p.match(pair)
		if i < 0 {
			continue
		}
		if !f.Present {
			f.Present, f.Param = true, p.names[i]
		}
		if candidates++; candidates > maxCandidates {
			break
		}
		value, isULID := clean(value)
		rank := 4 * i
		if !isULID {
			rank += 2
		}
		if broken {
			rank++ // a proper pair comes before one inside of another value
		}
		if rank >= best || !isULID && IsPlaceholder(value, p.lower[i]) || !accept(value) {
			continue
		}
		best, f.Value, f.Param = rank, value, p.names[i]
		if best == 0 {
			break
		}
	}
	f.Source = f.Source && f.Value == ""
	return f
}

// Strip returns the raw query without the parameters, everything else byte for
// byte. A query that is encoded as a whole is returned as it is.
func (p *Params) Strip(raw string) string {
	tolerant := strings.ContainsAny(raw, ";?")
	var kept strings.Builder
	for start, first := 0, true; start <= len(raw); {
		pair, _ := cut(raw[start:], tolerant)
		if i, _ := p.match(pair); i < 0 {
			if !first {
				kept.WriteByte(raw[start-1]) // the separator
			}
			kept.WriteString(pair)
			first = false
		}
		start += len(pair) + 1
	}
	return kept.String()
}

// prepare decodes a query that is percent-encoded as a whole, and reports
// whether pairs are separated by more than "&".
func prepare(raw string) (string, bool) {
	if strings.IndexByte(raw, '=') < 0 && strings.IndexByte(raw, '%') >= 0 && len(raw) <= maxEncoded {
		if decoded, err := url.PathUnescape(raw); err == nil {
			return decoded, true
		}
	}
	return raw, strings.IndexByte(raw, ';') >= 0 || strings.IndexByte(raw, '?') >= 0
}

// usual and tolerated are the bytes that separate pairs.
var (
	usual     = [256]bool{'&': true}
	tolerated = [256]bool{'&': true, ';': true, '?': true}
)

// cut returns the first pair and what follows its separator.
func cut(raw string, tolerant bool) (pair, rest string) {
	end := -1
	if tolerant {
		for i := 0; i < len(raw); i++ {
			if tolerated[raw[i]] {
				end = i
				break
			}
		}
	} else {
		end = strings.IndexByte(raw, '&')
	}
	if end < 0 {
		return raw, ""
	}
	return raw[:end], raw[end+1:]
}

// match returns the index of the pair's name among the parameters, or -1, and
// the pair's raw value.
func (p *Params) match(pair string) (int, string) {
	for i, name := range p.lower {
		if value, ok := valueOf(pair, name); ok {
			return i, value
		}
	}
	return -1, ""
}

// valueOf returns the raw value of a pair whose name is name, in any case and
// percent-encoding.
func valueOf(pair, name string) (value string, ok bool) {
	for i := 0; i < len(name); i++ {
		c, length := unescape(pair)
		if length == 0 {
			return "", false
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != name[i] {
			return "", false
		}
		pair = pair[length:]
	}
	switch c, length := unescape(pair); {
	case length == 0:
		return "", pair == ""
	case c == '=':
		return pair[length:], true
	}
	return "", false
}

// unescape returns the first byte that s stands for and its length in s, which
// is 0 when s is empty or begins with a broken escape.
func unescape(s string) (c byte, length int) {
	switch {
	case s == "":
		return 0, 0
	case s[0] != '%':
		return s[0], 1
	case len(s) < 3 || !isHex(s[1]) || !isHex(s[2]):
		return 0, 0
	}
	return fromHex(s[1])<<4 | fromHex(s[2]), 3
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xf + 9
}

// clean decodes a raw value. It alters no value, except that it removes what
// surrounds an unmistakable ULID: a sentence in a mail ends with a full stop, a
// template adds quotes or a slash.
func clean(value string) (id string, isULID bool) {
	if strings.IndexByte(value, '%') >= 0 || strings.IndexByte(value, '+') >= 0 {
		if len(value) > 3*MaxValue {
			return "", false
		}
		decoded, err := url.QueryUnescape(value)
		if err != nil {
			return "", false
		}
		value = decoded
	}
	if ulid.Valid(value) {
		return value, true
	}
	core, _, _ := strings.Cut(value, "#")
	if core = strings.Trim(core, " \t\r\n\u00a0\"'“”‘’/."); ulid.Valid(core) {
		return core, true
	}
	return value, false
}

// IsPlaceholder reports whether the value of a parameter in lower case stands for no
// click: what programs
// write for a missing value, and macros that were not expanded.
func IsPlaceholder(value, param string) bool {
	lower := strings.ToLower(value)
	switch lower {
	case "", "null", "undefined", "none", "nil", "nan", "true", "false", "0", "n/a", "na":
		return true
	}
	if strings.IndexByte("{[<($%", value[0]) >= 0 || strings.HasPrefix(value, "__") && strings.HasSuffix(value, "__") {
		return true
	}
	// CLICK_ID, YOUR-CLICK-ID, the parameter's own name, or no letter at all.
	word := alphanumeric(lower)
	return word == "" || strings.HasSuffix(word, "clickid") || word == alphanumeric(param)
}

// alphanumeric returns s without everything but letters and digits.
func alphanumeric(s string) string {
	return strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			return c
		}
		return -1
	}, s)
}
