package clickid

import (
	"cmp"
	"fmt"
)

// Item is a line of the order.
type Item struct {
	// ID is the number of the article, such as its SKU. It has at most 256
	// characters. Required.
	ID string `json:"id"`
	// Name, Brand and Category are cut to 256 characters. ECAPI sends Name and
	// Category with IAB fields.
	Name     string `json:"name,omitempty"`
	Brand    string `json:"brand,omitempty"`
	Category string `json:"category,omitempty"`
	// Quantity is at least 1 and at most 2^53. 0 omits it.
	Quantity int `json:"quantity,omitempty"`
	// Price is the price of a piece, in the currency of the event's Value. Optional.
	Price Amount `json:"price"`
	// Discount is the discount of a piece, in the same currency. ECAPI sends it
	// with IAB fields.
	Discount Amount `json:"discount,omitzero"`
	// Extra are further members, such as item_coupon; see [Event].Extra.
	Extra map[string]any `json:"extra,omitempty"`
}

// The limits of items. maxQuantity is the largest integer that all JSON decoders
// represent exactly.
const (
	maxItems           = 1000
	maxItemFieldLength = 256 // in characters
	maxQuantity        = 1 << 53
)

// items brings the items into the form in which they are sent. It copies them
// when the first one changes.
func (c *cleaner) items() {
	given, copied := c.event.Items, false
	for i, item := range given {
		if i == 0 || !copied {
			c.event.Items = given[:i:i]
		}
		if len(c.event.Items) == maxItems {
			c.leaveOut(fmt.Sprintf("items[%d:]", i), fmt.Sprintf("exceeds %d items", maxItems))
			return
		}
		c.list, c.index = "items", i
		problems, extra := len(c.warnings), len(item.Extra)
		keep := c.item(&item)
		c.list = ""
		if copied = copied || !keep || extra > 0 || len(c.warnings) > problems; copied && keep {
			c.event.Items = append(c.event.Items, item)
		}
	}
	if !copied {
		c.event.Items = given
	}
}

// inCurrency leaves out an amount if its currency is another than that of the
// event's value and earlier prices, if any.
func (c *cleaner) inCurrency(field string, a *Amount, currency string) {
	if currency != "" && a.currency != currency && !a.IsZero() {
		c.leaveOut(field, "must have the currency of the event's value and of all other prices")
		*a = Amount{}
	}
}

// item brings an item into the form in which it is sent. It returns false if it
// is left out.
func (c *cleaner) item(item *Item) bool {
	if item.ID == "" {
		c.leaveOut("", "has no id")
		return false
	}
	if problem := identifierProblem(item.ID, maxItemFieldLength); problem != "" {
		c.leaveOut("", "has an id that "+problem)
		return false
	}
	if item.Price.problem == problemNegative {
		c.leaveOut("", "has a negative price")
		return false
	}
	item.Name = c.text("name", item.Name, maxItemFieldLength)
	item.Brand = c.text("brand", item.Brand, maxItemFieldLength)
	item.Category = c.text("category", item.Category, maxItemFieldLength)
	if item.Quantity < 0 || int64(item.Quantity) > maxQuantity {
		c.leaveOut("quantity", "must be from 1 to 2^53")
		item.Quantity = 0
	}
	c.price("price", &item.Price)
	c.price("discount", &item.Discount)
	item.Extra = c.extra("extra", item.Extra)
	currency := c.event.Currency()
	c.inCurrency("price", &item.Price, currency)
	c.inCurrency("discount", &item.Discount, cmp.Or(currency, item.Price.currency))
	return true
}

// price leaves out an amount of an item if it cannot be sent.
func (c *cleaner) price(field string, a *Amount) {
	switch {
	case a.problem != "":
		c.leaveOut(field, a.problem)
		*a = Amount{}
	case a.rounded:
		c.change(field, fmt.Sprintf("it was rounded to %d decimals", maxFractionDigits))
	}
}
