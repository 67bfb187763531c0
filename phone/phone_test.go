package clickidphone_test

import (
	"fmt"
	"log"
	"regexp"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	clickidphone "github.com/clickid/clickid/phone"
)

func TestE164(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ raw, region, want string }{
		{"0171 1234567", "DE", "+491711234567"},
		{"0171/123 45-67", "de", "+491711234567"},
		{"0049 171 1234567", "DE", "+491711234567"},
		{"+49 171 1234567", "", "+491711234567"},
		{"+49 (0) 171 1234567", "", "+491711234567"},
		{" +49 171 1234567 ", "US", "+491711234567"},
		{"\u202a+49 171 1234567\u202c", "", "+491711234567"},
		{"+49\u00a0171\u20111234567", "", "+491711234567"},
		{"(212) 555-0000", "US", "+12125550000"},
		{"212.555.0000", "US", "+12125550000"},
		{"1-212-555-0000", "US", "+12125550000"},
		{"011 49 171 1234567", "US", "+491711234567"},
		{"020 7946 0958", "GB", "+442079460958"},
		{"06 12 34 56 78", "FR", "+33612345678"},
		{"02 1234567", "IT", "+39021234567"}, // the zero belongs to the number
		{"07 07 07 07 07", "CI", "+2250707070707"},
		{"06 612 3456", "CG", "+242066123456"},
		{"0549 886377", "SM", "+3780549886377"},
		{"8 (912) 345-67-89", "RU", "+79123456789"},
		{"０９０−１２３４−５６７８", "JP", "+819012345678"},
		{"٠٥٠ ١٢٣ ٤٥٦٧", "AE", "+971501234567"},
		{"+1 212 555 0000", "AQ", "+12125550000"}, // a region without numbers does not matter here
		{"(+49) 171 1234567", "", "+491711234567"},
		{"＋49 171 1234567", "", "+491711234567"},
	} {
		got, err := clickidphone.E164(tt.raw, tt.region)
		if err != nil || got != tt.want {
			t.Errorf("E164(%q, %q) = %q, %v; want %q", tt.raw, tt.region, got, err, tt.want)
		}
	}
}

func TestE164_errors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ raw, region, want string }{
		{"", "DE", "empty"},
		{" \u200b ", "DE", "empty"},
		{"0171 1234567", "", "pass a region"},
		{"0171 1234567", "Germany", "ISO 3166"},
		{"020 7946 0958", "UK", "ISO 3166"},
		{"1-800-FLOWERS", "US", "letters"},
		{"+49 30 123456 ext. 7", "", "letters"},
		{"+1 212 555 0000 #7", "", "extension"},
		{"tel:+491711234567", "", "letters"},
		{"anna@example.com", "DE", "letters"},
		{"12", "DE", "not"},
		{"+999 123456789", "", "not"},
		{"+49 171", "", "numbering plan"},
		{"+1 212 555 00000", "", "numbering plan"},
		{"0171 1234567", "US", "numbering plan"},
		{strings.Repeat("1", 251), "US", "too long"},
		{strings.Repeat("a1", 32), "US", "letters"},
		{"---", "DE", "not"},
	} {
		got, err := clickidphone.E164(tt.raw, tt.region)
		if err == nil || !strings.Contains(err.Error(), tt.want) || got != "" {
			t.Errorf("E164(%q, %q) = %q, %v; want an error with %q", tt.raw, tt.region, got, err, tt.want)
			continue
		}
		if !strings.HasPrefix(err.Error(), "clickidphone: ") || len(tt.raw) > 4 && strings.Contains(err.Error(), tt.raw) {
			t.Errorf("the error of %q: %v", tt.raw, err)
		}
		if hashed, err := clickidphone.Hash(tt.raw, tt.region); err == nil || hashed != "" {
			t.Errorf("Hash(%q, %q) = %q, %v; want an error", tt.raw, tt.region, hashed, err)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	want, err := clickid.HashPhone("+491711234567")
	if err != nil {
		t.Fatal(err)
	}
	for raw, region := range map[string]string{"0171 1234567": "DE", "+49 171 1234567": "", "0049-171-1234567": "AT"} {
		if got, err := clickidphone.Hash(raw, region); err != nil || got != want {
			t.Errorf("Hash(%q, %q) = %q, %v; want %q", raw, region, got, err, want)
		}
	}
}

func ExampleHash() {
	hashed, err := clickidphone.Hash("0171 123 45 67", "DE")
	if err != nil {
		log.Fatal(err)
	}
	event := clickid.Event{User: clickid.User{HashedPhone: hashed}}
	fmt.Println(len(event.User.HashedPhone))
	// Output: 64
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// FuzzE164 hashes any input: nothing panics, and a number has the form of E.164
// that the root package takes, except for a zero after the country code, and does
// not change when it is given again.
func FuzzE164(f *testing.F) {
	for _, raw := range []string{
		"0171 1234567", "+49 (0) 171 1234567", "1-800-FLOWERS", "tel:1;phone-context=+49", ";phone-context=+1", "+1 212 555 0000 #7",
		"٠٥٠ ١٢٣ ٤٥٦٧", "+", "++49", "(+49)", "\u202a+49", "0000000000", "*#31#", ";ext=1",
	} {
		f.Add(raw, "DE")
		f.Add(raw, "")
	}
	f.Fuzz(func(t *testing.T, raw, region string) {
		number, err := clickidphone.E164(raw, region)
		hashed, hashErr := clickidphone.Hash(raw, region)
		if err != nil {
			if number != "" || hashed != "" || hashErr == nil {
				t.Fatalf("%q beside the error %v", number, err)
			}
			return
		}
		if !e164.MatchString(number) {
			t.Fatalf("%q is not E.164", number)
		}
		if hashErr != nil || len(hashed) != 64 {
			t.Fatalf("Hash(%q) = %q, %v", raw, hashed, hashErr)
		}
		if want, err := clickid.HashPhone(number); err == nil && hashed != want {
			t.Fatalf("HashPhone(%q) = %q, and Hash %q", number, want, hashed)
		} else if err != nil && !strings.Contains(err.Error(), "zero after the country code") {
			t.Fatalf("HashPhone(%q): %v", number, err)
		}
		if again, err := clickidphone.E164(number, ""); err != nil || again != number {
			t.Fatalf("E164(%q) = %q, %v", number, again, err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := clickidphone.Hash("0171 123 45 67", "DE"); err != nil {
			b.Fatal(err)
		}
	}
}
