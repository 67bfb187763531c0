package text_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/clickid/clickid/internal/text"
)

// forms are the grammars as expressions, byte by byte.
var (
	unreserved = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,20}$`)
	graphic    = regexp.MustCompile(`^[!-~]{1,20}$`)
	name       = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	digits     = regexp.MustCompile(`^[0-9]+$`)
	visible    = regexp.MustCompile(`^[ -~]*$`)
	path       = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,;=:@/-]*$`)
)

// FuzzClasses compares the checks, which look at the classes, with expressions.
func FuzzClasses(f *testing.F) {
	for c := range 256 {
		f.Add(string([]byte{byte(c)}))
		f.Add("aB3_" + string([]byte{byte(c)}) + "a")
	}
	for _, s := range []string{"", strings.Repeat("a", 20), strings.Repeat("a", 21), strings.Repeat("a", 64), strings.Repeat("a", 65), "ü", "\xff", "0123456789", "a/b;c"} {
		f.Add(s)
	}
	const inPath = text.Lower | text.Upper | text.Number | text.Underscore | text.Mark | text.At | text.Plus | text.PathMark
	f.Fuzz(func(t *testing.T, s string) {
		control := !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
		for check, holds := range map[string][2]bool{
			"Unreserved": {text.Unreserved(s, 20), unreserved.MatchString(s)},
			"Graphic":    {text.Graphic(s, 20), graphic.MatchString(s)},
			"Name":       {text.Name(s), name.MatchString(s)},
			"Digits":     {text.Digits(s), digits.MatchString(s)},
			"HasControl": {text.HasControl(s), control},
			"Other":      {text.Classes(s)&text.Other == 0, visible.MatchString(s)},
			"path":       {text.Classes(strings.ReplaceAll(s, "&", ""))&^inPath == 0, path.MatchString(s)},
			"At":         {text.Classes(s)&text.At != 0, strings.Contains(s, "@")},
			"Plus":       {text.Classes(s)&text.Plus != 0, strings.Contains(s, "+")},
			"Escape":     {text.Classes(s)&text.Escape != 0, strings.ContainsAny(s, "%&")},
			"Quote":      {text.Classes(s)&text.Quote != 0, strings.ContainsAny(s, `"\`)},
		} {
			if holds[0] != holds[1] {
				t.Errorf("%s of %q is %v", check, s, holds[0])
			}
		}
	})
}
