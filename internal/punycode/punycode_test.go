package punycode

import "testing"

func TestHost(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"shop.example":   "shop.example",
		"bücher.example": "xn--bcher-kva.example",
		"BÜCHER.example": "xn--bcher-kva.example",
		"www.münchen.de": "www.xn--mnchen-3ya.de",
		"пример.рф":      "xn--e1afmkfd.xn--p1ai",
		"ü.com":          "xn--tda.com",
		"ελλάδα.gr":      "xn--hxakic4aa.gr",
		"例え.jp":          "xn--r8jz45g.jp",
		"例え。jp":          "xn--r8jz45g.jp",
		"مثال.إختبار":    "xn--mgbh0fb.xn--kgbechtv",
		"उदाहरण.परीक्षा":                       "xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g",
		"他们为什么不说中文.example":                    "xn--ihqwcrb4cv8a8dqg056pqjye.example", // RFC 3492, section 7.1 (B)
		"почемужеонинеговорятпорусски.example": "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l.example",
		"3年b組金八先生.example":                     "xn--3b-ww4c5e180e575a65lsy2b.example",
	} {
		if got, ok := Host(name); !ok || got != want {
			t.Errorf("%s became %q, %v, and not %s", name, got, ok, want)
		}
	}
	for _, name := range []string{"bu\u0308cher.example", "ü ü.example", "☃.example", "ｓhop.example", "\xff.example", "ü/.example"} {
		if got, ok := Host(name); ok {
			t.Errorf("%q became %q", name, got)
		}
	}
}
