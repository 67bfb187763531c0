package clickid

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/clickid/clickid/internal/decimal"
	"github.com/clickid/clickid/internal/iso4217"
	"github.com/clickid/clickid/internal/rawjson"
)

// Amount is an exact amount of money: a decimal number with a currency. The
// zero Amount is missing, which differs from 0.00. Amounts are never floats.
//
// [Minor] and [Decimal] return one. Both can be used in a composite literal: an
// error (an unknown form, a negative number) is kept in the Amount and returned
// by [Amount.Validate] and by every [Sender].
type Amount struct {
	number   string // in the form in which it is sent; "" if missing or invalid
	currency string
	problem  string // why the number is invalid, without the value
	rounded  bool   // digits beyond the ninth were rounded
}

// Limits of a decimal number: all JSON decoders represent it exactly.
const (
	maxIntegerDigits  = 15
	maxFractionDigits = 9
)

// Minor returns an amount in minor units of the currency according to ISO 4217:
// Minor(14999, "USD") is 149.99, Minor(15000, "JPY") is 15000 and Minor(1500,
// "KWD") is 1.500. Payment providers use other units for some currencies; see
// [StripeMinor] and [AdyenMinor]. A negative number is invalid: send a [Refund]
// event.
func Minor(units int64, currency string) Amount {
	return minor(units, currency, iso4217.Exponent)
}

// StripeMinor returns an amount in the units of Stripe's API and webhooks. It
// is [Minor] except for ISK and UGX, which have two decimals, and MGA, which
// has none.
func StripeMinor(units int64, currency string) Amount {
	return minor(units, currency, iso4217.Stripe)
}

// AdyenMinor returns an amount in the units of Adyen's API and webhooks. It is
// [Minor] except for CLP and ISK, which have two decimals, and CVE and IDR,
// which have none.
func AdyenMinor(units int64, currency string) Amount {
	return minor(units, currency, iso4217.Adyen)
}

func minor(units int64, currency string, exponentOf func(currency string) int) Amount {
	currency, ok := iso4217.Code(currency)
	switch {
	case !ok:
		return Amount{problem: problemCurrency}
	case units < 0:
		return Amount{currency: currency, problem: problemNegative}
	}
	number := strconv.FormatInt(units, 10)
	if exponent := exponentOf(currency); exponent > 0 {
		if missing := exponent + 1 - len(number); missing > 0 {
			number = strings.Repeat("0", missing) + number
		}
		point := len(number) - exponent
		number = number[:point] + "." + number[point:]
	}
	return Decimal(number, currency)
}

// Decimal returns an amount from a decimal number with a point, as databases and
// decimal libraries print it: Decimal("149.99", "USD"). It has at most 15 digits
// before the point. Digits after the ninth decimal are rounded half to even, with
// a warning of [Event.Clean]. The number gets at least the decimals of the
// currency and no further surplus zeros: "149.9" and "149.9000" are both 149.90.
// Signs, exponents, thousands separators and decimal commas are invalid.
func Decimal(number, currency string) Amount {
	currency, ok := iso4217.Code(currency)
	if !ok {
		return Amount{problem: problemCurrency}
	}
	integer, fraction, negative, ok := decimal.Parse(number)
	integer, fraction, rounded := decimal.Round(integer, fraction, maxFractionDigits)
	switch {
	case !ok:
		return Amount{currency: currency, problem: problemForm}
	case negative:
		return Amount{currency: currency, problem: problemNegative}
	case len(integer) > maxIntegerDigits:
		return Amount{currency: currency, problem: problemLarge}
	}
	if missing := iso4217.Exponent(currency) - len(fraction); missing > 0 {
		fraction += strings.Repeat("0", missing)
	}
	if fraction != "" {
		integer += "." + fraction
	}
	return Amount{number: integer, currency: currency, rounded: rounded}
}

// Problems of amounts. They contain no value, so that a queued problem can be
// decoded.
const (
	problemCurrency = "currency must be three letters (ISO 4217)"
	problemNegative = "must not be negative; a refund is an event of its own type"
	problemForm     = `must be a decimal number such as "149.99", with a point and without plus sign, exponent or separators`
	problemLarge    = "must not have more than 15 digits before the point"
	problemQueued   = "was refused when the event was queued"
)

// IsZero reports whether a is missing. An amount of 0.00 is not.
func (a Amount) IsZero() bool { return a == Amount{} }

// Currency returns the currency's code, or "".
func (a Amount) Currency() string { return a.currency }

// Number returns the number in the form in which it is sent, or "".
func (a Amount) Number() string { return a.number }

// String returns number and currency, such as "149.99 USD", or "".
func (a Amount) String() string {
	if a.number == "" {
		return ""
	}
	return a.number + " " + a.currency
}

// Validate returns the error of a, or nil. A missing amount is valid.
func (a Amount) Validate() error {
	if a.problem != "" {
		return errors.New("clickid: amount " + a.problem)
	}
	return nil
}

type amountJSON struct {
	Number   json.Number `json:"number,omitempty"`
	Currency string      `json:"currency,omitempty"`
	Problem  string      `json:"problem,omitempty"`
}

// MarshalJSON returns {"number":149.99,"currency":"USD"}, or null if a is
// missing. An invalid amount remains invalid: {"currency":"USD","problem":"must
// not be negative; …"}.
func (a Amount) MarshalJSON() ([]byte, error) {
	if a.IsZero() {
		return []byte("null"), nil
	}
	return rawjson.Encode(amountJSON{Number: json.Number(a.number), Currency: a.currency, Problem: a.problem})
}

// UnmarshalJSON decodes the result of MarshalJSON, and numbers in the forms of
// [Decimal], also as strings.
func (a *Amount) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*a = Amount{}
		return nil
	}
	var v struct {
		Number   json.RawMessage `json:"number"`
		Currency string          `json:"currency"`
		Problem  string          `json:"problem"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return errors.New("clickid: amount must be an object of number and currency")
	}
	if v.Problem != "" {
		*a = Amount{problem: problemQueued}
		a.currency, _ = iso4217.Code(v.Currency)
		for _, known := range []string{problemCurrency, problemNegative, problemForm, problemLarge} {
			if v.Problem == known {
				a.problem = known
			}
		}
		return nil
	}
	*a = Decimal(strings.Trim(string(v.Number), `"`), v.Currency)
	return a.Validate()
}
