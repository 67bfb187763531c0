// Package punycode encodes host names of other scripts in ASCII. The root
// module does without golang.org/x/net/idna because its tables would become a
// requirement of every module that imports clickid.
package punycode

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Host returns a host name in lower case, with its labels in ASCII (RFC 3490,
// RFC 3492). It reports false for a name that browsers do not resolve, or whose
// form depends on tables that are not here.
func Host(name string) (ascii string, ok bool) {
	if strings.ContainsAny(name, "İẞ") { // browsers have another lower case for these
		return "", false
	}
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

// encodable are the characters beyond ASCII that no normalisation of a host name
// changes, of the scripts of most names. Others compose, decompose or have a
// compatible form, which needs a table that is not here.
var encodable = [][2]rune{
	{0xDF, 0xF6}, {0xF8, 0x131}, {0x134, 0x13E}, {0x141, 0x148}, {0x14A, 0x17E}, {0x180, 0x1C3}, {0x1CD, 0x1F0}, {0x1F4, 0x24F}, // Latin
	{0x1E00, 0x1E99}, {0x1EA0, 0x1EFF}, // Latin, as in Vietnamese
	{0x386, 0x3CE}, {0x400, 0x481}, {0x48A, 0x52F}, {0x561, 0x586}, {0x10D0, 0x10FA}, // Greek, Cyrillic, Armenian, Georgian
	{0x5D0, 0x5EA}, {0x620, 0x64A}, {0x660, 0x669}, {0x671, 0x674}, {0x679, 0x6D3}, {0x6F0, 0x6F9}, // Hebrew, Arabic
	{0x904, 0x939}, {0x93D, 0x94D}, {0x966, 0x96F}, {0xE01, 0xE32}, {0xE34, 0xE3A}, {0xE40, 0xE4E}, {0xE50, 0xE59}, // Devanagari, Thai
	{0x3005, 0x3005}, {0x3041, 0x3096}, {0x309D, 0x309E}, {0x30A1, 0x30FA}, {0x30FC, 0x30FE}, {0x3105, 0x312F}, // Japanese, Bopomofo
	{0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0x20000, 0x2A6DF}, // Han, Hangul
}

// canEncode reports whether a label consists of ASCII letters, digits and
// hyphens and of encodable characters. Marks that follow each other must be in
// their canonical order, which is that of their numbers in these scripts.
func canEncode(label string) bool {
	var mark rune
	for _, r := range label {
		known := r == '-' || r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r))
		if r >= utf8.RuneSelf {
			known = (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)) &&
				slices.ContainsFunc(encodable, func(part [2]rune) bool { return part[0] <= r && r <= part[1] })
		}
		if !known || unicode.IsMark(r) && mark > r {
			return false
		}
		if mark = 0; unicode.IsMark(r) {
			mark = r
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
