package text

import (
	"strings"
	"unicode"
)

// Visible returns s without the characters that people cannot see and so did
// not mean to type: byte order marks, zero-width characters, soft hyphens,
// marks of direction and control characters other than white space.
func Visible(s string) string {
	if strings.IndexFunc(s, invisible) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, s)
}

func invisible(r rune) bool {
	if r < 0x80 {
		return r < ' ' && !unicode.IsSpace(r) || r == 0x7F
	}
	switch {
	case r == '\u034F', // combining grapheme joiner
		r == '\u115F', r == '\u1160', r == '\u3164', r == '\uFFA0', // Hangul fillers
		r == '\u180E', r == '\u2800', // Mongolian vowel separator, blank Braille
		'\uFE00' <= r && r <= '\uFE0F': // variation selectors
		return true
	}
	return unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && !unicode.IsSpace(r)
}

// Fold returns s as a reader sees it: without invisible characters, with
// plain spaces and hyphens, and with ASCII characters in place of full-width
// ones and of the digits of other scripts.
func Fold(s string) string {
	if Classes(s)&Other == 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case invisible(r):
			return -1
		case r < 0x80 && r >= ' ':
			return r
		case unicode.IsSpace(r):
			return ' '
		case '\uFF01' <= r && r <= '\uFF5E':
			return r - 0xFEE0
		case r == '\uFE6B':
			return '@'
		case unicode.Is(unicode.Pd, r), r == '\u2212':
			return '-'
		case unicode.IsDigit(r):
			return '0' + digitOf(r)
		}
		return r
	}, s)
}

// digitOf returns the value of a decimal digit of another script. The digits
// of a script begin at a code point that ends in 0 or 6. Those of mathematical
// letters do not, but their values do not matter.
func digitOf(r rune) rune {
	low := r & 0xF
	if unicode.IsDigit(r - low) {
		return low % 10
	}
	return (low + 10 - 6) % 10
}
