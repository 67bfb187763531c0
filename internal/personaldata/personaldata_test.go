package personaldata

import "testing"

func TestPersonalData(t *testing.T) {
	t.Parallel()
	refused := map[string]string{
		"an address":                       "jane@example.com",
		"in a sentence":                    "mail to jane.doe+shop@mail.example.co.uk, please",
		"in a URL":                         "https://shop.test/?u=jane%40example.com&x=1",
		"of a private suffix":              "jane@shop.blogspot.com",
		"of another script":                "jane@пример.рф",
		"of a Punycode domain":             "jane@xn--e1afmkfd.xn--p1ai",
		"after an image":                   "logo@2x.png and jane@example.com",
		"like a scale factor":              "anna@10x.com",
		"like an archive of images":        "logo@2x.zip",
		"encoded twice":                    "https://shop.test/?u=jane%2540example.com",
		"with an encoded full stop":        "https://shop.test/?u=jane%40example%2Ecom",
		"full stop before the at sign":     "jane.@example.com",
		"as an HTML entity":                "jane&#64;example.com",
		"full-width":                       "ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ",
		"with a zero-width space":          "jane\u200b@example\u200b.com",
		"with a soft hyphen":               "jane@exam\u00adple.com",
		"with a small at sign":             "jane﹫example.com",
		"quoted local part":                `"jane doe"@example.com`,
		"E.164":                            "+12125550000",
		"E.164 written out":                "+1 212-555-0000",
		"E.164 in a sentence":              "call +49 171 2345678 tomorrow",
		"E.164 in parentheses":             "Jane (+44 20 7946 0958)",
		"E.164 in a query":                 "tel=+12125550000",
		"area code in parentheses":         "(212) 555-0000",
		"German area code":                 "(030) 1234567",
		"North American with hyphens":      "212-555-0100",
		"North American with points":       "212.555.0100",
		"North American with a leading 1":  "1-212-555-0100",
		"British with spaces":              "020 7946 0958",
		"French in pairs":                  "06 12 34 56 78",
		"mixed into other text":            "order of Jane, 212-555-0100",
		"international with a bracketed 0": "+49 (0) 171 2345678",
		"E.164 before a word":              "call +49 30 12345678 4pm",
		"E.164 before a date":              "+49 171 2345678 2024-11-23 10:00",
		"E.164 with an extension":          "+1 212-555-0000 x12",
		"E.164 joined to an extension":     "+1 212-555-0000-x12",
		"E.164 after a colon":              "Tel.:+49 30 901820",
		"E.164 with no-break spaces":       "+49\u00a030\u00a0901820",
		"E.164 with thin spaces":           "+49\u200930\u2009901820",
		"E.164 with no-break hyphens":      "+1 212\u2011555\u20110000",
		"E.164 with dashes":                "+1 212–555–0000",
		"E.164 full-width":                 "＋１２１２５５５００００",
		"E.164 in Arabic digits":           "+٩٦٦٥٥١٢٣٤٥٦٧",
		"E.164 with zero-width characters": "+1\u200b2125550000",
		"North American before a word":     "212-555-0100 4pm",
		"North American after a word":      "tel 212-555-0100",
		"German with a hyphen":             "0151-23456789",
		"German with a slash":              "030/12345678",
		"German with spaced slash":         "089 / 123 456",
		"British with no-break spaces":     "020\u00a07946\u00a00958",
	}
	for name, s := range refused {
		if Problem(s) == "" {
			t.Errorf("%s: %q is not found", name, s)
		}
	}
	taken := map[string]string{
		"nothing":                 "",
		"order of twelve digits":  "202411230017",
		"order of ten digits":     "2125550100",
		"order with a prefix":     "SO-2024-001234",
		"marketplace order":       "123-1234567-1234567",
		"SKU in phone groups":     "A-212-555-0100",
		"SKU with a suffix":       "212-555-0100B",
		"card-like groups":        "1234 5678 9012 3456",
		"date":                    "2024-11-23",
		"German date":             "23.11.2024",
		"spaced date":             "23 11 2024",
		"RFC 3339 with an offset": "2024-11-23T10:00:00+01:00",
		"compact offset":          "2024-11-23 10:00:00+0100",
		"IPv4":                    "192.168.100.200",
		"IPv6":                    "2001:db8::1",
		"UUID":                    "550e8400-e29b-41d4-a716-446655440000",
		"UUID of digits":          "55008400-1292-4104-8716-446655440000",
		"ULID":                    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"price":                   "149.99",
		"thousands":               "1 234 567.00",
		"price range":             "100.00-200.00",
		"EAN":                     "4006381333931",
		"image name":              "image@2x.png",
		"internal host":           "till@store.local",
		"unlisted domain":         "order-17@shop.unlisted",
		"addition":                "12345678+12345678",
		"dates with slashes":      "01/02/2024 03/04/2024",
		"date and time":           "09/30/2024 10:15",
		"token before a plus":     "M+12345678",
		"plus before a token":     "+1234567abc",
		"handle":                  "@example",
		"handle with a domain":    "@example.com",
		"package":                 "@scope/name@1.2.3",
		"host without a domain":   "root@localhost",
		"plus as arithmetic":      "1+2 = 3",
		"short plus":              "+49",
		"version":                 "10.0.19041.1234",
		"hash":                    "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
		"token of base64":         "XY1000bIVBVah9ium-sZ3ykhPiXQbEcUpn4GjCtxrrw2BRDGM+12345678/abc=",
		"coordinates":             "52.5200, 13.4050",
		"size":                    "100x200x300",
		"opening hours":           "09 30 - 18 00",
		"unicode":                 "Größe 42 – grün",
	}
	for name, s := range taken {
		if problem := Problem(s); problem != "" {
			t.Errorf("%s: %q %s", name, s, problem)
		}
	}
}

func TestProblemOfID(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"302-458-9921", "0123 456 789", "(302) 458-9921", "FR 12 345 678 901", "FR12345678901", "06 12 34 56 78", "0151-23456789",
		"+1234567", "2024/11/0001", "555.123.4567",
	} {
		if problem := ProblemOfID(s); problem != "" {
			t.Errorf("%q %s", s, problem)
		}
	}
	for _, s := range []string{"jane@example.com", "+12125550000", "order of +1 212-555-0000"} {
		if ProblemOfID(s) == "" {
			t.Errorf("%q is not found", s)
		}
	}
	if ProblemOfEmail("+12125550000") != "" || ProblemOfEmail("jane@example.com") == "" {
		t.Error("ProblemOfEmail looks for e-mail addresses only")
	}
}

func TestNamesPostalAddress(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"address", "Street", "shipping_address", "shippingAddress", "customer_street", "delivery_address", "home-address"} {
		if !NamesPostalAddress(name) {
			t.Errorf("%q does not name an address", name)
		}
	}
	for _, name := range []string{"", "address_verified", "ip_address", "ipAddress", "streetwear", "wallet_address"} {
		if NamesPostalAddress(name) {
			t.Errorf("%q names an address", name)
		}
	}
}

func TestNamesPhone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"phone", "Phone", "customer_phone", "customerPhone", "phone_number", "phoneNumber", "mobile", "mobile-no", "tel", "MSISDN"} {
		if !NamesPhone(name) {
			t.Errorf("%q does not name a phone", name)
		}
	}
	for _, name := range []string{"", "number", "no", "phone_model", "headphones", "mobile_sessions", "telemetry", "hotel", "microphone_id", "excellent"} {
		if NamesPhone(name) {
			t.Errorf("%q names a phone", name)
		}
	}
}
