package clickid_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

func TestMinorUnitsFollowISO4217(t *testing.T) {
	t.Parallel()
	tests := []struct {
		units    int64
		currency string
		want     string
	}{
		{14999, "USD", "149.99"},
		{0, "USD", "0.00"},
		{5, "USD", "0.05"},
		{50, "EUR", "0.50"},
		{15000, "JPY", "15000"},
		{0, "JPY", "0"},
		{1500, "KWD", "1.500"},
		{7, "KWD", "0.007"},
		{12345, "CLF", "1.2345"},
		{99999999999999999, "USD", "999999999999999.99"},
	}
	for _, tt := range tests {
		a := clickid.Minor(tt.units, tt.currency)
		require.NoError(t, a.Validate())
		require.Equal(t, tt.want, a.Number())
		require.Equal(t, tt.currency, a.Currency())
		require.Equal(t, tt.want+" "+tt.currency, a.String())
	}
}

func TestDecimalKeepsItsDigits(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"0", "0.00", "149.90", "0.1", "123456789012345.123456789", "15000.0"} {
		a := clickid.Decimal(number, "USD")
		require.NoError(t, a.Validate())
		require.Equal(t, number, a.Number())
	}
}

func TestWrongAmountsAreKeptAsProblems(t *testing.T) {
	t.Parallel()
	wrong := map[string]clickid.Amount{
		"negative units":   clickid.Minor(-1, "USD"),
		"least units":      clickid.Minor(math.MinInt64, "USD"),
		"too many units":   clickid.Minor(math.MaxInt64, "USD"),
		"negative decimal": clickid.Decimal("-1.00", "USD"),
		"empty":            clickid.Decimal("", "USD"),
		"plus":             clickid.Decimal("+1", "USD"),
		"exponent":         clickid.Decimal("1e3", "USD"),
		"comma":            clickid.Decimal("1,50", "EUR"),
		"thousands":        clickid.Decimal("1 000", "EUR"),
		"point first":      clickid.Decimal(".5", "EUR"),
		"point last":       clickid.Decimal("5.", "EUR"),
		"needless zero":    clickid.Decimal("007", "EUR"),
		"sixteen digits":   clickid.Decimal("1234567890123456", "EUR"),
		"ten decimals":     clickid.Decimal("0.1234567890", "EUR"),
		"no currency":      clickid.Minor(1, ""),
		"small currency":   clickid.Minor(1, "usd"),
		"long currency":    clickid.Decimal("1", "USDT"),
		"another script":   clickid.Decimal("１", "USD"),
		"infinity":         clickid.Decimal("Infinity", "USD"),
		"hexadecimal":      clickid.Decimal("0x10", "USD"),
		"space":            clickid.Decimal(" 1", "USD"),
	}
	for name, a := range wrong {
		require.Error(t, a.Validate(), name)
		require.False(t, a.IsZero(), "%s: a mistake is not an absence", name)
		require.Empty(t, a.String(), name)
		_, err := json.Marshal(a)
		require.Error(t, err, name)
	}
}

func TestAbsentIsNotZero(t *testing.T) {
	t.Parallel()
	var absent clickid.Amount
	require.True(t, absent.IsZero())
	require.NoError(t, absent.Validate())
	require.False(t, clickid.Minor(0, "USD").IsZero())
}

func TestAmountJSON(t *testing.T) {
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
	for _, wrong := range []string{`1`, `"1 USD"`, `{"number":-1,"currency":"USD"}`, `{"number":1}`, `{"number":1e2,"currency":"USD"}`, `{}`} {
		var a clickid.Amount
		require.Error(t, json.Unmarshal([]byte(wrong), &a), wrong)
	}
}
