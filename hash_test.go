package clickid_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestHash_vectors(t *testing.T) {
	t.Parallel()
	const (
		customer = "e606e38b0d8c19b24cf0ee3808183162ea7cd63ff7912dbb22b5e803286b4446"
		email    = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
		phone    = "7c8d08bf90ca322bcac37f99ba14e980e4b1f5ba919f7e16a030af9070ba125e"
	)
	tests := []struct {
		hash      func(string) (string, error)
		raw, want string
	}{
		{clickid.HashCustomerID, "User123", customer},
		{clickid.HashCustomerID, " user123\n", customer},
		{clickid.HashEmail, " User@example.com ", email},
		{clickid.HashEmail, "user@example.com", email},
		{clickid.HashPhone, "+1 212-555-0000", phone},
		{clickid.HashPhone, " +1 (212) 555.0000 ", phone},
		{clickid.HashPhone, "+1 (0) 2125550000", phone},
	}
	for _, tt := range tests {
		got, err := tt.hash(tt.raw)
		require.NoError(t, err)
		require.Equal(t, tt.want, got, tt.raw)
	}
}

func TestHash_emptyOrHashed(t *testing.T) {
	t.Parallel()
	for name, hash := range map[string]func(string) (string, error){
		"e-mail": clickid.HashEmail, "phone": clickid.HashPhone, "customer": clickid.HashCustomerID,
	} {
		for _, raw := range []string{"", "  \t", strings.Repeat("0a", 32), strings.Repeat("0A", 32)} {
			got, err := hash(raw)
			require.Error(t, err, "%s %q", name, raw)
			require.Empty(t, got)
		}
	}
}

func TestHashEmail_normalises(t *testing.T) {
	t.Parallel()
	want, err := clickid.HashEmail("jane@example.com")
	require.NoError(t, err)
	for _, raw := range []string{
		"Jane@Example.COM", "\ufeffjane@example.com", "jane@example.com\u200b", "jane\u200d@exam\u00adple.com", "\u00a0jane@example.com\u202f",
		"\u202ajane@example.com\u202c", "jane@example.com\x00", "\tjane@example.com\r\n",
	} {
		got, err := clickid.HashEmail(raw)
		require.NoError(t, err, "%q", raw)
		require.Equal(t, want, got, "%q", raw)
	}
	for _, raw := range []string{"jane..doe.@docomo.ne.jp", "o'neill+shop@example.co.uk", "jörg@bücher.example", "user@पत्रिका.भारत", "1@2.example", "a@xn--bcher-kva.example"} {
		_, err := clickid.HashEmail(raw)
		require.NoError(t, err, raw)
	}
}

func TestHashEmail_refuses(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"jane", "jane@", "@example.com", "jane@localhost", "jane@a@example.com", "jane doe@example.com",
		"mailto:jane@example.com", "<jane@example.com>", "Jane <jane@example.com>", "jane@example.com,", "jane@example.com;", "jane@example.com.",
		"jane@example..com", "jane@.example.com", "jane@-example.com", "jane@example-.com", "jane@10.0.0.1", "jane@[10.0.0.1]",
		"jane@example.com, joe@example.com", `"jane doe"@example.com`, "jane@exam_ple.com", "jane@example.com/x", "ｊane@example.com", "jane＠example.com",
		"jane%40example.com", "jane@example.com\nx", "jane@example.c\xff", "\ufeff", "\u200b",
	} {
		got, err := clickid.HashEmail(raw)
		require.Error(t, err, "%q", raw)
		require.Empty(t, got)
		require.NotContains(t, err.Error(), "jane")
	}
}

func TestHashPhone_normalises(t *testing.T) {
	t.Parallel()
	for want, spellings := range map[string][]string{
		"+493012345678": {
			"+493012345678", "+49 30 12345678", "+49 (30) 1234-5678", "+49 (0) 30 12345678", "+49(0)30/12345678", "\ufeff+49\u00a030\u200912345678",
			"+49\u200b30 1234\u20115678", "+49 30 1234–5678",
		},
		"+390612345678":  {"+39 06 1234 5678", "+39 (06) 12345678", "+39 (0)6 12345678"},
		"+3780549123456": {"+378 0549 123456"},
		"+2250712345678": {"+225 07 12 34 56 78"},
		"+2290190123456": {"+229 01 90 12 34 56"},
		"+242061234567":  {"+242 06 123 4567"},
		"+992085720172":  {"+992 08 572 0172"},
		"+12125550000":   {"+1 (212) 555.0000", "+1 (0) 212 555 0000"},
		"+442079460958":  {"+44 20 7946 0958"},
	} {
		sum := sha256.Sum256([]byte(want))
		for _, raw := range spellings {
			got, err := clickid.HashPhone(raw)
			require.NoError(t, err, "%q", raw)
			require.Equal(t, hex.EncodeToString(sum[:]), got, "%q", raw)
		}
	}
}

func TestHashPhone_refuses(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"2125550000", "+1", "+0123456789", "+1234567890123456", "+1-800-FLOWERS", "+1+2125550000", "++12125550000", "0049 30 12345678",
		"+49 0151 23456789", "+49 (0151) 23456789", "+490151123456", "+44 020 7946 0958", "+33 06 12 34 56 78", "+1 0212 555 0000", "+7 0495 123 45 67",
		"+353 086 123 4567", "+49 (0) 0151 23456789",
		"+1 212 555 0000 x12", "+1 212 555 0000 ext. 5", "+1 212 555 0000#5", "+1 212 555 0000,5", "+1 212 555 0000;ext=5", "tel:+12125550000",
		"+١٢١٢٥٥٥٠٠٠٠", "＋12125550000", "+12１25550000", "+1 212_555_0000", "+", "+ ", "+\xff12125550000",
	} {
		got, err := clickid.HashPhone(raw)
		require.Error(t, err, "%q", raw)
		require.Empty(t, got)
		require.NotContains(t, err.Error(), "555")
	}
}

func TestHashCustomerID_normalises(t *testing.T) {
	t.Parallel()
	want, err := clickid.HashCustomerID("user123")
	require.NoError(t, err)
	got, err := clickid.HashCustomerID("\ufeff User\u200b123 ")
	require.NoError(t, err)
	require.Equal(t, want, got)
	for _, raw := range []string{"\ufeff", "\u200b \u200b", "\xff"} {
		_, err := clickid.HashCustomerID(raw)
		require.Error(t, err, "%q", raw)
	}
}

// TestHashName_vectors has the vectors of the IAB standard.
func TestHashName_vectors(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		" Jane ":   "81f8f6dde88365f3928796ec7aa53f72820b06db8664f5fe76a7eb13e24546a2",
		" Smith ":  "6627835f988e2c5e50533d491163072d3f4f41f5c8b04630150debb3722ca2dd",
		" Female ": "9f165139a8c2894a47aea23b77d330eca847264224a44d5a17b19db8b9a72c08",
		"10001":    "e443169117a184f91186b401133b20be670c7c0896f9886075e5d9b81e9d076b",
	} {
		got, err := clickid.HashName(raw)
		require.NoError(t, err)
		require.Equal(t, want, got, raw)
	}
	plain, err := clickid.HashName("O'Neil-Smith,  Jr.\u200b")
	require.NoError(t, err)
	same, err := clickid.HashName("oneilsmith jr")
	require.NoError(t, err)
	require.Equal(t, same, plain)
	for _, raw := range []string{"", " ", "-", plain, "\xff"} {
		_, err := clickid.HashName(raw)
		require.ErrorContains(t, err, "clickid: hashing a part of an address: ", raw)
	}
}
