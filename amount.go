package clickid

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/clickid/clickid/internal/rawjson"
	"github.com/clickid/clickid/internal/text"
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
	return minor(units, currency, minorExponent)
}

// StripeMinor returns an amount in the units of Stripe's API and webhooks. It
// is [Minor] except for ISK and UGX, which have two decimals, and MGA, which
// has none.
func StripeMinor(units int64, currency string) Amount {
	return minor(units, currency, func(currency string) int {
		switch currency {
		case "ISK", "UGX":
			return 2
		case "MGA":
			return 0
		}
		return minorExponent(currency)
	})
}

// AdyenMinor returns an amount in the units of Adyen's API and webhooks. It is
// [Minor] except for CLP and ISK, which have two decimals, and CVE and IDR,
// which have none.
func AdyenMinor(units int64, currency string) Amount {
	return minor(units, currency, func(currency string) int {
		switch currency {
		case "CLP", "ISK":
			return 2
		case "CVE", "IDR":
			return 0
		}
		return minorExponent(currency)
	})
}

func minor(units int64, currency string, exponentOf func(currency string) int) Amount {
	currency, ok := currencyCode(currency)
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

// Decimal returns an amount from a decimal number with a point, as databases
// and decimal libraries print it: Decimal("149.99", "USD"). It has at most 15
// digits before the point. Digits after the ninth decimal are rounded half to
// even, with a warning of [Event.Clean]. The number gets at least the decimals
// of the currency and no further surplus zeros: "149.9" and "149.9000" are both
// 149.90. Signs, exponents, thousands separators and decimal commas are
// invalid.
func Decimal(number, currency string) Amount {
	currency, ok := currencyCode(currency)
	if !ok {
		return Amount{problem: problemCurrency}
	}
	integer, fraction, problem := digits(number)
	if problem != "" {
		return Amount{currency: currency, problem: problem}
	}
	integer, fraction, rounded := round(integer, fraction)
	if len(integer) > maxIntegerDigits {
		return Amount{currency: currency, problem: problemLarge}
	}
	if missing := minorExponent(currency) - len(fraction); missing > 0 {
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

// currencyCode returns a currency in upper case.
func currencyCode(currency string) (code string, ok bool) {
	code = strings.ToUpper(strings.Trim(currency, " "))
	// ToUpper would turn "ſ" into S.
	letters := strings.Trim(currency, " ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
	return code, letters && len(code) == 3 && !strings.Contains(code, " ")
}

// digits returns the digits before and after the point, without surplus zeros.
// The integer is at least "0".
func digits(number string) (integer, fraction, problem string) {
	number, negative := strings.CutPrefix(strings.Trim(number, " "), "-")
	integer, fraction, _ = strings.Cut(number, ".")
	if !text.Digits(integer + fraction) {
		return "", "", problemForm
	}
	integer, fraction = strings.TrimLeft(integer, "0"), strings.TrimRight(fraction, "0")
	if negative && integer+fraction != "" {
		return "", "", problemNegative
	}
	if integer == "" {
		integer = "0"
	}
	return integer, fraction, ""
}

// round rounds to maxFractionDigits decimals, half to even.
func round(integer, fraction string) (_, _ string, rounded bool) {
	if len(fraction) <= maxFractionDigits {
		return integer, fraction, false
	}
	rest := fraction[maxFractionDigits:]
	number := []byte(integer + fraction[:maxFractionDigits])
	last := number[len(number)-1]
	if half := "5"; rest > half || rest == half && last%2 == 1 {
		number = increment(number)
	}
	point := len(number) - maxFractionDigits
	return string(number[:point]), strings.TrimRight(string(number[point:]), "0"), true
}

// increment adds one to a number of decimal digits.
func increment(number []byte) []byte {
	for i := len(number) - 1; i >= 0; i-- {
		if number[i] < '9' {
			number[i]++
			return number
		}
		number[i] = '0'
	}
	return append([]byte{'1'}, number...)
}

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
		a.currency, _ = currencyCode(v.Currency)
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

// minorExponent returns the number of decimals of a currency in list one of ISO
// 4217. Most currencies have two.
func minorExponent(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF",
		"UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	}
	return 2
}

// isoCurrencies are the codes in list one of ISO 4217 as of 2026, without
// metals and test codes.
const isoCurrencies = " AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD" +
	" CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP" +
	" GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP" +
	" LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN" +
	" PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT" +
	" TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XCD XCG XDR XOF XPF XSU XUA" +
	" YER ZAR ZMW ZWG "

// listed reports whether the currency is in ISO 4217's list one.
func listed(currency string) bool { return strings.Contains(isoCurrencies, " "+currency+" ") }
