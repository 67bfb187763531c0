package personaldata

import "testing"

// FuzzPlain checks that no text with a problem is skipped because of the kinds of
// its bytes.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{
		"", "order-0001", "a@b.com", "a%40b.com", "a%2540b.com", "a&#64;b.com", "a&#x40;b.com", "a\uFF20b.com", "+49 151 2345678", "\uFF0B49 151 2345678",
		"(030) 1234567", "020 7946 0958", "٠٢٠ ٧٩٤٦ ٠٩٥٨", "a\u200b@b.com", "https://shop.example/a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, problems := range map[string][2]string{
			"Problem":        {Problem(s), problem(s, true, true)},
			"ProblemOfID":    {ProblemOfID(s), problem(s, true, false)},
			"ProblemOfEmail": {ProblemOfEmail(s), problem(s, false, false)},
		} {
			if problems[0] != problems[1] {
				t.Errorf("%s of %q returns %q instead of %q", name, s, problems[0], problems[1])
			}
		}
	})
}
