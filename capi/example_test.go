package capi_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
)

// startPlatform starts a receiver for an example.
func startPlatform() *clickidtest.Server {
	platform, err := clickidtest.Start("127.0.0.1:0", clickidtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return platform
}

// exampleClient returns a client of the receiver.
func exampleClient(platform *clickidtest.Server, d capi.Dialect) *capi.Client {
	client, err := capi.New(capi.Config{APIKey: clickidtest.APIKey, Dialect: d, BaseURL: platform.URL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	return client
}

// A client in the dialect ECAPI sends one event per request.
func ExampleNewClient_ecapi() {
	platform := startPlatform()
	defer platform.Close()

	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey, // from the environment in production
		Dialect: capi.ECAPI{DataSetID: clickidtest.DataSetID},
		BaseURL: platform.URL, // omit in production
	})
	if err != nil {
		log.Fatal(err)
	}
	report, err := client.Send(context.Background(), clickid.Event{
		Type:  clickid.Lead,
		ID:    "lead-17",
		Time:  time.Now(),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range report.Results {
		fmt.Println(result.Type, result.ID, result.Verdict)
	}
	// Output: lead lead-17 accepted
}

// In the dialect LogEvent, events share a request. Only one line differs.
func ExampleNewClient_logEvent() {
	platform := startPlatform()
	defer platform.Close()

	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		BaseURL: platform.URL, // omit in production
	})
	if err != nil {
		log.Fatal(err)
	}
	click := clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"}
	report, err := client.Send(context.Background(),
		clickid.Event{Type: clickid.SignUp, ID: "customer-7", Time: time.Now(), Click: click},
		clickid.Event{Type: clickid.Purchase, ID: "order-8", Time: time.Now(), Click: click, Value: clickid.Minor(990, "EUR")},
		clickid.Event{Type: clickid.Purchase, ID: "order-9", Time: time.Now(), Value: clickid.Minor(990, "EUR")},
	)
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range report.Results {
		fmt.Println(result.ID, result.Verdict)
	}
	fmt.Println(len(platform.Requests()), "request")
	// Output:
	// customer-7 accepted
	// order-8 accepted
	// order-9 skipped: organic
	// 1 request
}

// Concurrent calls share requests. Each call gets the report of its own events.
func ExampleBatcher() {
	platform := startPlatform()
	defer platform.Close()
	client := exampleClient(platform, capi.LogEvent{EventSourceID: clickidtest.EventSourceID})

	batcher, err := capi.NewBatcher(client, capi.BatcherConfig{MaxEvents: 100, MaxDelay: 50 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	var group sync.WaitGroup
	for i := 0; i < 100; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			_, err := batcher.Send(context.Background(), clickid.Event{
				Type: clickid.Purchase, ID: fmt.Sprint("order-", i), Time: time.Now(), Click: clickid.Click{ID: fmt.Sprint("click-", i)},
			})
			if err != nil {
				log.Print(err)
			}
		}()
	}
	group.Wait()
	if err := batcher.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(platform.Count(), "events, fewer requests:", len(platform.Requests()) < platform.Count())
	// Output: 100 events, fewer requests: true
}

// DryRun writes the request without the secrets and without sending it.
func ExampleClient_DryRun() {
	client, err := capi.New(capi.Config{
		APIKey:      "scope3_secret",
		Dialect:     capi.ECAPI{DataSetID: "ds_abc123xyz"},
		Environment: capi.EnvironmentStaging,
	})
	if err != nil {
		log.Fatal(err)
	}
	report, err := client.DryRun(os.Stdout).Send(context.Background(), clickid.Event{
		Type:  clickid.Purchase,
		ID:    "order-1001",
		Time:  time.Date(2024, time.November, 23, 10, 15, 30, 0, time.UTC),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		Value: clickid.Decimal("149.90", "USD"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Results[0].Verdict)
	// Output:
	// POST https://ping.staging.scope3.com/agentic/v1/events
	// Accept: application/json
	// Authorization: Bearer [redacted]
	// Content-Type: application/json
	// User-Agent: clickid-go (+https://github.com/clickid/clickid)
	//
	// {
	//   "data_set_id": "ds_abc123xyz",
	//   "event_type": "purchase",
	//   "timestamp": 1732356930,
	//   "id": "order-1001",
	//   "value": 149.90,
	//   "currency": "USD",
	//   "user_data": {
	//     "click_id": "[redacted]"
	//   }
	// }
	//
	// ready
}

// A sale in a store is attributed by tokens of identity providers instead of a
// click.
func ExampleRampID() {
	platform := startPlatform()
	defer platform.Close()
	client := exampleClient(platform, capi.ECAPI{DataSetID: clickidtest.DataSetID})

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
	client := exampleClient(platform, capi.LogEvent{EventSourceID: clickidtest.EventSourceID})

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

// The kind of an error determines the reaction: fix the configuration, wait, or
// give up the event.
func ExampleResponseError() {
	platform := startPlatform()
	defer platform.Close()
	platform.Next(
		clickidtest.Fault{Status: http.StatusForbidden},
		clickidtest.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"120"}}},
		clickidtest.Fault{Status: http.StatusBadRequest, Error: clickidtest.Error{Code: "VALIDATION_ERROR", Field: "/events/0/event_type"}},
		clickidtest.Fault{Status: http.StatusBadRequest},
	)
	client := exampleClient(platform, capi.LogEvent{EventSourceID: clickidtest.EventSourceID})

	for i := range 4 {
		_, err := client.Send(context.Background(), clickid.Event{
			Type: clickid.Purchase, ID: fmt.Sprint("order-", i), Time: time.Now(), Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		})
		var refusal clickid.SendError
		if !errors.As(err, &refusal) {
			log.Fatal(err)
		}
		switch refusal.Kind() {
		case clickid.SendErrorConfiguration:
			fmt.Println("fix the configuration:", errors.Is(err, capi.ErrForbidden))
		case clickid.SendErrorTemporary:
			fmt.Println("send again in", refusal.RetryAfter())
		case clickid.SendErrorEvent:
			fmt.Println("give the event up:", refusal.Status())
		case clickid.SendErrorRefused:
			fmt.Println("keep the event, and look at the configuration:", refusal.Status())
		}
	}
	// Output:
	// fix the configuration: true
	// send again in 2m0s
	// give the event up: 400
	// keep the event, and look at the configuration: 400
}

// Extra carries the members that only one dialect has, at each level.
func ExampleLogEvent_extra() {
	client, err := capi.New(capi.Config{
		APIKey: "scope3_secret",
		Dialect: capi.LogEvent{
			EventSourceID: "my-shop",
			Extra:         map[string]any{"adcp_version": "3.1", "account": map[string]any{"account_id": "acc_1"}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	result := client.Check(clickid.Event{
		Type:  clickid.Purchase,
		ID:    "order-1001",
		Time:  time.Now(),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		Items: []clickid.Item{{ID: "sku-1", Extra: map[string]any{"ext": map[string]any{"acme": map[string]any{"shelf": 7}}}}},
		Extra: map[string]any{"surface": "the podcast"},
	})
	fmt.Println(result.Verdict)
	fmt.Println(result.Warnings)
	// Output:
	// ready
	// [extra.surface was left out: it must be an object]
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
