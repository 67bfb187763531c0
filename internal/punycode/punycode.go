// Package punycode encodes host names of other scripts in ASCII. The root
// module does without golang.org/x/net/idna because its tables would become a
// requirement of every module that imports clickid.
package punycode

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Host returns a host name with its labels in ASCII (RFC 3490, RFC 3492). It
// reports false for a name that browsers do not resolve, or whose form depends
// on tables that are not here.
func Host(name string) (ascii string, ok bool) {
	name = strings.NewReplacer("。", ".", "．", ".", "｡", ".").Replace(strings.ToLower(name))
	labels := strings.Split(name, ".")
	for i, label := range labels {
		if isASCII(label) {
			if strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
				return "", false
			}
			continue
		}
		if !canEncode(label) {
			return "", false
		}
		labels[i] = "xn--" + encode([]rune(label))
		if len(labels[i]) > 63 {
			return "", false
		}
	}
	return strings.Join(labels, "."), true
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// canEncode reports whether a label consists of letters, marks, digits and
// hyphens that no normalisation changes.
func canEncode(label string) bool {
	for _, r := range label {
		switch {
		case r == utf8.RuneError, '\u0300' <= r && r <= '\u036F', // marks that compose with Latin letters
			'\uFB00' <= r && r <= '\uFDFF', '\uFE70' <= r && r <= '\uFFEF', // ligatures, presentation and full-width forms
			'\u1100' <= r && r <= '\u11FF', r >= '\U0002F800' && r <= '\U0002FA1F': // parts and variants of characters
			return false
		case r == '-', '0' <= r && r <= '9', unicode.IsLetter(r), unicode.IsMark(r), unicode.IsDigit(r):
		default:
			return false
		}
	}
	return true
}

// Parameters of RFC 3492, section 5.
const (
	base        = 36
	tMin        = 1
	tMax        = 26
	skew        = 38
	damp        = 700
	initialBias = 72
	initialN    = 128
)

// encode returns the Punycode of a label (RFC 3492, section 6.3).
func encode(label []rune) string {
	var out []byte
	for _, r := range label {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	handled := basic
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(initialN), 0, initialBias
	for handled < len(label) {
		next := rune(math.MaxInt32)
		for _, r := range label {
			if r >= n && r < next {
				next = r
			}
		}
		delta += int(next-n) * (handled + 1)
		n = next
		for _, r := range label {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			out = appendInteger(out, delta, bias)
			bias = adapt(delta, handled+1, handled == basic)
			delta = 0
			handled++
		}
		delta++
		n++
	}
	return string(out)
}

// appendInteger appends a generalised variable-length integer.
func appendInteger(out []byte, q, bias int) []byte {
	for k := base; ; k += base {
		t := min(max(k-bias, tMin), tMax)
		if q < t {
			return append(out, digit(q))
		}
		out = append(out, digit(t+(q-t)%(base-t)))
		q = (q - t) / (base - t)
	}
}

func digit(d int) byte { return "abcdefghijklmnopqrstuvwxyz0123456789"[d] }

// adapt returns the bias for the next integer (RFC 3492, section 6.1).
func adapt(delta, points int, first bool) int {
	if first {
		delta /= damp
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for ; delta > (base-tMin)*tMax/2; k += base {
		delta /= base - tMin
	}
	return k + (base-tMin+1)*delta/(delta+skew)
}
