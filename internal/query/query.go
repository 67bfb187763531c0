// Package query scans raw query strings for click parameters without
// allocating.
package query

import (
	"net/url"
	"strings"
)

// MaxValue is the longest value, in bytes, that Find accepts.
const MaxValue = 128

// Find looks for the parameters in a raw query, in their order, and
// returns the first value that accept takes. present says that one of them is
// there at all, with whatever value.
//
// It allocates nothing unless a candidate is percent-encoded: it runs on every
// page of the site.
func Find(rawQuery string, params []string, accept func(string) bool) (id, param string, present bool) {
	if rawQuery == "" {
		return "", "", false
	}
	for _, param := range params {
		for rest := rawQuery; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, "&")
			name, value, _ := strings.Cut(pair, "=")
			if !isEncodingOf(name, param) {
				continue
			}
			present = true
			if strings.Contains(value, "%") && len(value) <= 3*MaxValue {
				// Some redirectors encode characters that need no encoding.
				decoded, err := url.QueryUnescape(value)
				if err != nil {
					continue
				}
				value = decoded
			}
			if accept(value) {
				return value, param, true
			}
		}
	}
	return "", "", present
}

// isEncodingOf reports whether the raw query name s stands for name, which
// consists of unreserved characters. It allocates nothing.
func isEncodingOf(s, name string) bool {
	for i := 0; i < len(name); i++ {
		if s == "" {
			return false
		}
		c, length := s[0], 1
		if c == '%' {
			if len(s) < 3 || !isHex(s[1]) || !isHex(s[2]) {
				return false
			}
			c, length = fromHex(s[1])<<4|fromHex(s[2]), 3
		}
		if c != name[i] {
			return false
		}
		s = s[length:]
	}
	return s == ""
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

// Strip returns rawQuery without the given parameters, everything else
// byte for byte.
func Strip(rawQuery string, params []string) string {
	kept := make([]string, 0, strings.Count(rawQuery, "&")+1)
pairs:
	for _, pair := range strings.Split(rawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		for _, param := range params {
			if isEncodingOf(name, param) {
				continue pairs
			}
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

// HasPlatformSource reports whether a query says that the visitor comes from
// the platform: its redirect adds utm_source=scope3 beside the click ID, so
// that this one without the other is a click that was lost on the way.
func HasPlatformSource(rawQuery string) bool {
	for rest := rawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if pair == "utm_source=scope3" {
			return true
		}
	}
	return false
}
