package clickid_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
)

// sendingTo returns a client of the receiver for an example.
func sendingTo(platform *clickidtest.Server, d capi.Dialect) *capi.Client {
	client, err := capi.New(capi.Config{APIKey: clickidtest.APIKey, Dialect: d, BaseURL: platform.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	return client
}

// A sale in a store is attributed by tokens of identity providers instead of a
// click.
func ExampleRampID() {
	platform := startPlatform()
	defer platform.Close()
	client := sendingTo(platform, capi.ECAPI{DataSetID: clickidtest.DataSetID})

	_, err := client.Send(context.Background(), clickid.Event{
		Type:   clickid.Purchase,
		ID:     "receipt-7-4711",
		Time:   time.Now().Add(-3 * time.Hour),
		Source: clickid.SourceInStore,
		Value:  clickid.Decimal("89.00", "GBP"),
		User: clickid.User{
			ExternalID: "customer-42",
			IDs:        []clickid.UserID{clickid.RampID("XY1000bIVBVah9ium"), clickid.ID5("ID5*abc")},
		},
		Items: []clickid.Item{{ID: "sku-1", Quantity: 2, Price: clickid.Decimal("44.50", "GBP")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range platform.Accepted() {
		fmt.Println(e.ID, e.Source)
		for _, uid := range e.UIDs {
			fmt.Println(uid.Provider, uid.AType)
		}
	}
	// Output:
	// receipt-7-4711 pos
	// liveramp.com 3
	// id5-sync.com 1
}

// A refund is an event with a positive value. It may have the order's ID.
func ExampleEvent_refund() {
	platform := startPlatform()
	defer platform.Close()
	client := sendingTo(platform, capi.LogEvent{EventSourceID: clickidtest.EventSourceID})

	click := clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV"}
	bought := time.Now().AddDate(0, 0, -5)
	_, err := client.Send(context.Background(),
		clickid.Event{Type: clickid.Purchase, ID: "order-1001", Time: bought, Click: click, Value: clickid.Minor(14999, "USD")},
		clickid.Event{Type: clickid.Refund, ID: "order-1001", Time: time.Now(), Click: click, Value: clickid.Minor(5000, "USD")},
	)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range platform.Accepted() {
		fmt.Println(e.Type, e.ID, e.Value)
	}
	// Unordered output:
	// purchase order-1001 149.99
	// refund order-1001 50.00
}

// Amounts in minor units have the decimals of their currency.
func ExampleMinor() {
	fmt.Println(clickid.Minor(14999, "USD"))
	fmt.Println(clickid.Minor(15000, "JPY"))
	fmt.Println(clickid.Minor(1500, "KWD"))
	fmt.Println(clickid.Minor(-1, "USD").Validate())
	// Output:
	// 149.99 USD
	// 15000 JPY
	// 1.500 KWD
	// clickid: amount must not be negative; a refund is an event of its own type
}

// Payment providers count some currencies in other units than ISO 4217.
func ExampleStripeMinor() {
	fmt.Println(clickid.StripeMinor(14999, "usd"))
	fmt.Println(clickid.StripeMinor(500000, "isk"), clickid.Minor(5000, "ISK"))
	fmt.Println(clickid.AdyenMinor(500000, "CLP"), clickid.Minor(5000, "CLP"))
	// Output:
	// 149.99 USD
	// 5000 ISK 5000 ISK
	// 5000 CLP 5000 CLP
}

// Decimal amounts are taken as databases print them.
func ExampleDecimal() {
	fmt.Println(clickid.Decimal("149.9000000000", "eur"))
	fmt.Println(clickid.Decimal("0.00", "EUR").IsZero(), clickid.Amount{}.IsZero())
	fmt.Println(clickid.Decimal("1,5", "EUR").Validate())
	// Output:
	// 149.90 EUR
	// false true
	// clickid: amount must be a decimal number such as "149.99", with a point and without plus sign, exponent or separators
}

// All spellings of an address have the same hash.
func ExampleHashEmail() {
	email, err := clickid.HashEmail(" User@example.com ")
	if err != nil {
		log.Fatal(err)
	}
	phone, err := clickid.HashPhone("+1 212-555-0000")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(email)
	fmt.Println(phone)

	_, err = clickid.HashEmail(email)
	fmt.Println(err)
	// Output:
	// b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514
	// 7c8d08bf90ca322bcac37f99ba14e980e4b1f5ba919f7e16a030af9070ba125e
	// clickid: hashing an e-mail address: it is already hashed
}

// The IAB standard takes addresses with hashed names.
func ExampleHashName() {
	lastName, err := clickid.HashName("O'Neil")
	if err != nil {
		log.Fatal(err)
	}
	postalCode, err := clickid.HashName("10001")
	if err != nil {
		log.Fatal(err)
	}
	user := clickid.User{Addresses: []clickid.Address{{
		HashedLastName: lastName, HashedPostalCode: postalCode, City: "New York", State: "NY", Country: "US",
	}}}
	fmt.Println(user.Addresses[0].HashedPostalCode[:12], user.Addresses[0].City)
	// Output: e443169117a1 New York
}

// An invalid event is rejected. The error names every invalid field and
// contains no value.
func ExampleEventError() {
	event := clickid.Event{
		Type:  clickid.Purchase,
		Time:  time.Now(),
		Value: clickid.Decimal("-5", "USD"),
		User:  clickid.User{ExternalID: "jane@example.com"},
	}
	err := event.Validate()
	var invalid *clickid.EventError
	if errors.As(err, &invalid) {
		for _, field := range invalid.Fields {
			fmt.Println(field.Field)
		}
	}
	fmt.Println(errors.Is(err, clickid.ErrInvalidEvent))
	// Output:
	// id
	// value
	// user.external_id
	// true
}
