package clickid

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/clickid/clickid/internal/text"
)

// Amount is an exact amount of money: a decimal number and its currency. The
// zero Amount is absent, which is not the same as 0.00. Amounts never pass
// through a float.
//
// [Minor] and [Decimal] build one. Both may stand in a composite literal: a
// mistake (an unknown form, a negative number) is kept in the Amount and
// reported by [Amount.Validate] and by every [Sender].
type Amount struct {
	number   string // as it will be sent; "" when absent or wrong
	currency string
	problem  string // why number is missing, without the value
}

// Bounds of a decimal number: what a JSON number carries exactly everywhere
// and no order exceeds.
const (
	maxIntegerDigits  = 15
	maxFractionDigits = 9
)

// Minor returns an amount given in the currency's minor units, whose number
// of decimals is the exponent of ISO 4217: Minor(14999, "USD") is 149.99,
// Minor(15000, "JPY") is 15000 and Minor(1500, "KWD") is 1.500. The currency
// is three capital letters. Negative units are refused: send a [Refund] event.
func Minor(units int64, currency string) Amount {
	if problem := currencyProblem(currency); problem != "" {
		return Amount{problem: problem}
	}
	if units < 0 {
		return Amount{currency: currency, problem: problemNegative}
	}
	number := strconv.FormatInt(units, 10)
	if exponent := minorExponent(currency); exponent > 0 {
		if missing := exponent + 1 - len(number); missing > 0 {
			number = strings.Repeat("0", missing) + number
		}
		point := len(number) - exponent
		number = number[:point] + "." + number[point:]
	}
	return Decimal(number, currency)
}

// Decimal returns an amount given as a decimal number with a point:
// Decimal("149.99", "USD"). At most 15 digits may stand before the point and
// 9 after it, which leaves room for unit prices finer than the currency. The
// digits are sent as they are given. Signs, exponents, thousands separators
// and decimal commas are refused.
func Decimal(number, currency string) Amount {
	if problem := currencyProblem(currency); problem != "" {
		return Amount{problem: problem}
	}
	if problem := numberProblem(number); problem != "" {
		return Amount{currency: currency, problem: problem}
	}
	return Amount{number: number, currency: currency}
}

const problemNegative = "must not be negative; a refund is an event of its own type"

func currencyProblem(currency string) string {
	if len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "currency must be three capital letters (ISO 4217)"
	}
	return ""
}

// numberProblem says what keeps number from being a JSON number without sign
// and exponent (RFC 8259, section 6).
func numberProblem(number string) string {
	const form = `must be a decimal number such as "149.99", with a point and without sign, exponent or separators`
	if strings.HasPrefix(number, "-") {
		return problemNegative
	}
	integer, fraction, point := strings.Cut(number, ".")
	switch {
	case !text.Digits(integer), point && !text.Digits(fraction):
		return form
	case len(integer) > 1 && integer[0] == '0':
		return "must not begin with a needless zero"
	case len(integer) > maxIntegerDigits:
		return fmt.Sprintf("must not have more than %d digits before the point", maxIntegerDigits)
	case len(fraction) > maxFractionDigits:
		return fmt.Sprintf("must not have more than %d digits after the point", maxFractionDigits)
	}
	return ""
}

// IsZero reports whether a is absent. An amount of 0.00 is not.
func (a Amount) IsZero() bool { return a == Amount{} }

// Currency returns the currency's code, or "".
func (a Amount) Currency() string { return a.currency }

// Number returns the decimal number as it is sent, or "".
func (a Amount) Number() string { return a.number }

// String returns number and currency, such as "149.99 USD", or "".
func (a Amount) String() string {
	if a.number == "" {
		return ""
	}
	return a.number + " " + a.currency
}

// Validate returns what is wrong with a, or nil. An absent amount is valid.
func (a Amount) Validate() error {
	if a.problem != "" {
		return errors.New("clickid: amount " + a.problem)
	}
	return nil
}

type amountJSON struct {
	Number   json.Number `json:"number"`
	Currency string      `json:"currency"`
}

// MarshalJSON writes {"number":149.99,"currency":"USD"}, or null when a is
// absent. A wrong amount is an error.
func (a Amount) MarshalJSON() ([]byte, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if a.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(amountJSON{Number: json.Number(a.number), Currency: a.currency})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (a *Amount) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*a = Amount{}
		return nil
	}
	var v amountJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("clickid: amount is not an object of number and currency: %w", err)
	}
	*a = Decimal(v.Number.String(), v.Currency)
	return a.Validate()
}

// minorExponent returns the number of decimals of a currency in ISO 4217's
// list one. All currencies that it does not name have two.
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
