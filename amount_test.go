package clickid_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestMinor(t *testing.T) {
	t.Parallel()
	type minor = func(int64, string) clickid.Amount
	iso, stripe, adyen := clickid.Minor, clickid.StripeMinor, clickid.AdyenMinor
	tests := []struct {
		minor    minor
		units    int64
		currency string
		want     string
	}{
		{iso, 14999, "USD", "149.99 USD"},
		{iso, 14999, "usd", "149.99 USD"},
		{iso, 14999, " Usd ", "149.99 USD"},
		{iso, 0, "USD", "0.00 USD"},
		{iso, 5, "USD", "0.05 USD"},
		{iso, 50, "EUR", "0.50 EUR"},
		{iso, 15000, "JPY", "15000 JPY"},
		{iso, 0, "JPY", "0 JPY"},
		{iso, 1500, "KWD", "1.500 KWD"},
		{iso, 7, "KWD", "0.007 KWD"},
		{iso, 12345, "CLF", "1.2345 CLF"},
		{iso, 12345, "UYW", "1.2345 UYW"},
		{iso, 12345, "UYI", "12345 UYI"},
		{iso, 12345, "UYU", "123.45 UYU"},
		{iso, 12345, "XAD", "123.45 XAD"},
		{iso, 12345, "XCG", "123.45 XCG"},
		{iso, 99999999999999999, "USD", "999999999999999.99 USD"},

		{iso, 5000, "ISK", "5000 ISK"},
		{stripe, 500000, "isk", "5000 ISK"},
		{adyen, 500000, "ISK", "5000 ISK"},
		{iso, 5000, "UGX", "5000 UGX"},
		{stripe, 500000, "UGX", "5000 UGX"},
		{adyen, 5000, "UGX", "5000 UGX"},
		{iso, 5000, "MGA", "50.00 MGA"},
		{stripe, 5000, "MGA", "5000.00 MGA"},
		{adyen, 5000, "MGA", "50.00 MGA"},
		{iso, 5000, "CLP", "5000 CLP"},
		{stripe, 5000, "CLP", "5000 CLP"},
		{adyen, 500000, "CLP", "5000 CLP"},
		{iso, 5000, "CVE", "50.00 CVE"},
		{stripe, 5000, "CVE", "50.00 CVE"},
		{adyen, 5000, "CVE", "5000.00 CVE"},
		{iso, 5000, "IDR", "50.00 IDR"},
		{stripe, 5000, "IDR", "50.00 IDR"},
		{adyen, 5000, "IDR", "5000.00 IDR"},
		{stripe, 14999, "usd", "149.99 USD"},
		{stripe, 500, "jpy", "500 JPY"},
		{stripe, 5120, "kwd", "5.120 KWD"},
		{stripe, 10045, "huf", "100.45 HUF"},
		{stripe, 80045, "twd", "800.45 TWD"},
		{adyen, 10000, "BHD", "10.000 BHD"},
		{adyen, 10, "JPY", "10 JPY"},
	}
	for _, tt := range tests {
		a := tt.minor(tt.units, tt.currency)
		require.NoError(t, a.Validate())
		require.Equal(t, tt.want, a.String())
	}
}

func TestDecimal(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"149.99":                             "149.99",
		"149.990000000000000000000000000000": "149.99",
		"149.9900000000":                     "149.99",
		"149.9":                              "149.90",
		"149":                                "149.00",
		"149.":                               "149.00",
		".99":                                "0.99",
		"-0.00":                              "0.00",
		"-0":                                 "0.00",
		"-.0":                                "0.00",
		"0":                                  "0.00",
		"0.00":                               "0.00",
		"0000149.99":                         "149.99",
		"00000000000000000000000000.5":       "0.50",
		"  149.99 ":                          "149.99",
		"0.005":                              "0.005",
		"123456789012345.123456789":          "123456789012345.123456789",

		// Half to even at the ninth decimal.
		"126.0420168067226891": "126.042016807",
		"0.0000000005":         "0.00",
		"0.0000000015":         "0.000000002",
		"0.0000000025":         "0.000000002",
		"0.00000000250000001":  "0.000000003",
		"0.0000000014999999":   "0.000000001",
		"1.9999999999":         "2.00",
		"99.9999999995":        "100.00",
		"0.1234567890":         "0.123456789",
	} {
		a := clickid.Decimal(given, "USD")
		require.NoError(t, a.Validate(), given)
		require.Equal(t, want, a.Number(), given)
	}
	require.Equal(t, "15000 JPY", clickid.Decimal("15000.00", "jpy").String())
	require.Equal(t, "5000.5 JPY", clickid.Decimal("5000.50", "JPY").String())
	require.Equal(t, "1.000 KWD", clickid.Decimal("1", "KWD").String())
}

func TestAmount_wrong(t *testing.T) {
	t.Parallel()
	wrong := map[string]clickid.Amount{
		"negative units":     clickid.Minor(-1, "USD"),
		"negative of Stripe": clickid.StripeMinor(-1, "USD"),
		"least units":        clickid.Minor(math.MinInt64, "USD"),
		"too many units":     clickid.Minor(math.MaxInt64, "USD"),
		"negative decimal":   clickid.Decimal("-1.00", "USD"),
		"negative and tiny":  clickid.Decimal("-0.0000000001", "USD"),
		"empty":              clickid.Decimal("", "USD"),
		"a point":            clickid.Decimal(".", "USD"),
		"a sign":             clickid.Decimal("-", "USD"),
		"two signs":          clickid.Decimal("--1", "USD"),
		"two points":         clickid.Decimal("1.2.3", "USD"),
		"plus":               clickid.Decimal("+1", "USD"),
		"exponent":           clickid.Decimal("1e3", "USD"),
		"comma":              clickid.Decimal("1,50", "EUR"),
		"thousands":          clickid.Decimal("1 000", "EUR"),
		"sixteen digits":     clickid.Decimal("1234567890123456", "EUR"),
		"rounded to sixteen": clickid.Decimal("999999999999999.9999999999", "EUR"),
		"no currency":        clickid.Minor(1, ""),
		"a symbol":           clickid.Minor(1, "$"),
		"long currency":      clickid.Decimal("1", "USDT"),
		"another script":     clickid.Decimal("１", "USD"),
		"currency in Greek":  clickid.Decimal("1", "ΕUR"),
		"long s":             clickid.Decimal("1", "uſd"),
		"long s of 3 bytes":  clickid.Decimal("1", "uſ"),
		"infinity":           clickid.Decimal("Infinity", "USD"),
		"not a number":       clickid.Decimal("NaN", "USD"),
		"hexadecimal":        clickid.Decimal("0x10", "USD"),
		"a tab":              clickid.Decimal("1\t", "USD"),
	}
	for name, a := range wrong {
		require.Error(t, a.Validate(), name)
		require.False(t, a.IsZero(), "%s: a mistake is not an absence", name)
		require.Empty(t, a.String(), name)
		data, err := json.Marshal(a)
		require.NoError(t, err, name)
		var back clickid.Amount
		require.NoError(t, json.Unmarshal(data, &back), name)
		require.Equal(t, a, back, "%s: it stays wrong in a queue", name)
	}
}

func TestAmount_zero(t *testing.T) {
	t.Parallel()
	var absent clickid.Amount
	require.True(t, absent.IsZero())
	require.NoError(t, absent.Validate())
	require.False(t, clickid.Minor(0, "USD").IsZero())
}

func TestAmount_JSON(t *testing.T) {
	t.Parallel()
	for _, a := range []clickid.Amount{{}, clickid.Minor(0, "USD"), clickid.Decimal("149.90", "USD"), clickid.Minor(15000, "JPY")} {
		data, err := json.Marshal(a)
		require.NoError(t, err)
		var back clickid.Amount
		require.NoError(t, json.Unmarshal(data, &back))
		require.Equal(t, a, back)
	}
	data, err := json.Marshal(clickid.Decimal("149.90", "USD"))
	require.NoError(t, err)
	require.Equal(t, `{"number":149.90,"currency":"USD"}`, string(data))
	for _, wrong := range []string{`1`, `"1 USD"`, `{"number":-1,"currency":"USD"}`, `{"number":1}`, `{"number":1e2,"currency":"USD"}`, `{}`, `{"number":"jane@example.com","currency":"USD"}`} {
		var a clickid.Amount
		err := json.Unmarshal([]byte(wrong), &a)
		require.Error(t, err, wrong)
		require.NotContains(t, err.Error(), "jane")
	}
	var a clickid.Amount
	for _, text := range []string{`{"number":"149.9000","currency":"usd"}`, `{"number":149.9,"currency":"USD"}`} {
		require.NoError(t, json.Unmarshal([]byte(text), &a))
		require.Equal(t, "149.90 USD", a.String())
	}
	require.NoError(t, json.Unmarshal([]byte(`{"problem":"jane@example.com"}`), &a))
	require.ErrorContains(t, a.Validate(), "refused")
	require.NotContains(t, a.Validate().Error(), "jane")
}
