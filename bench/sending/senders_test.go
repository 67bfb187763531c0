package sending_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
)

// sender is a client of a platform.
type sender struct {
	name string
	// prepare returns a function that hands a number of purchases to a new
	// client, at once, and closes it.
	prepare func(tb testing.TB, url string, orders int) (send func())
}

var (
	silent = log.New(io.Discard, "", 0)
	quiet  = slog.New(slog.DiscardHandler)
)

const (
	clickID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	pageURL = "https://shop.example/checkout/thanks"
)

var placed = time.Date(2026, time.January, 31, 12, 0, 0, 0, time.UTC)

// purchases returns the orders as events of the library: two items, a click and
// the customer's ID. The peers send the same content.
func purchases(orders int) []clickid.Event {
	events := make([]clickid.Event, orders)
	for i := range events {
		events[i] = clickid.Event{
			Type: clickid.Purchase, ID: orderID(i), Time: placed, Value: clickid.Minor(14999, "USD"),
			Source: clickid.SourceWebsite, PageURL: pageURL, Click: clickid.Click{ID: clickID, Param: "clkid"},
			User: clickid.User{ExternalID: customerID(i)},
			Items: []clickid.Item{
				{ID: "sku-1", Quantity: 1, Price: clickid.Minor(9999, "USD")},
				{ID: "sku-2", Quantity: 2, Price: clickid.Minor(2500, "USD")},
			},
		}
	}
	return events
}

func customerID(order int) string { return fmt.Sprintf("customer-%d", order) }

// properties returns a purchase as the peers send it.
func properties(order int) map[string]any {
	return map[string]any{
		"order_id": orderID(order), "value": json.Number("149.99"), "currency": "USD", "click_id": clickID, "page_url": pageURL,
		"items": []map[string]any{
			{"id": "sku-1", "quantity": 1, "price": json.Number("99.99")}, {"id": "sku-2", "quantity": 2, "price": json.Number("25.00")},
		},
	}
}

// newClient returns a client with its defaults.
func newClient(tb testing.TB, url string, dialect capi.Dialect, hook func(context.Context, capi.Attempt)) *capi.Client {
	tb.Helper()
	client, err := capi.New(capi.Config{
		APIKey: "scope3_bench", BaseURL: url, Dialect: dialect, Logger: quiet, Hook: hook,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

var (
	logEvent = capi.LogEvent{EventSourceID: "shop", SendExternalID: true}
	ecapi    = capi.ECAPI{DataSetID: "shop"}
)

// direct sends with one call of Client.Send.
func direct(name string, dialect capi.Dialect) sender {
	return sender{name, func(tb testing.TB, url string, orders int) func() {
		client, events := newClient(tb, url, dialect, nil), purchases(orders)
		return func() { _, _ = client.Send(context.Background(), events...) }
	}}
}

// batched sends with a Batcher, and closes it during the first request.
func batched() sender {
	return sender{"clickid, Batcher", func(tb testing.TB, url string, orders int) func() {
		began, events := make(chan struct{}), purchases(orders)
		var once sync.Once
		client := newClient(tb, url, logEvent, func(context.Context, capi.Attempt) { once.Do(func() { close(began) }) })
		batcher, err := capi.NewBatcher(client, capi.BatcherConfig{})
		if err != nil {
			tb.Fatal(err)
		}
		return func() {
			var group sync.WaitGroup
			group.Go(func() { _, _ = batcher.Send(context.Background(), events...) })
			<-began
			_ = batcher.Close(context.Background())
			group.Wait()
		}
	}}
}

// A log_event request as the standard library encodes it.
type (
	stdRequest struct {
		IdempotencyKey string     `json:"idempotency_key"`
		EventSourceID  string     `json:"event_source_id"`
		Events         []stdEvent `json:"events"`
	}
	stdEvent struct {
		ID           string        `json:"event_id"`
		Type         string        `json:"event_type"`
		Time         time.Time     `json:"event_time"`
		ActionSource string        `json:"action_source"`
		SourceURL    string        `json:"event_source_url"`
		UserMatch    stdUserMatch  `json:"user_match"`
		CustomData   stdCustomData `json:"custom_data"`
	}
	stdUserMatch struct {
		ClickID     string   `json:"click_id"`
		ClickIDType string   `json:"click_id_type"`
		UIDs        []stdUID `json:"uids"`
	}
	stdUID struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	stdCustomData struct {
		Contents []stdContent `json:"contents"`
		Currency string       `json:"currency"`
		Value    json.Number  `json:"value"`
	}
	stdContent struct {
		ID       string      `json:"id"`
		Quantity int         `json:"quantity"`
		Price    json.Number `json:"price"`
	}
)

func stdEvents(orders int) []stdEvent {
	events := make([]stdEvent, orders)
	for i := range events {
		events[i] = stdEvent{
			ID: orderID(i), Type: "purchase", Time: placed, ActionSource: "website", SourceURL: pageURL,
			UserMatch: stdUserMatch{ClickID: clickID, ClickIDType: "clkid", UIDs: []stdUID{{"other", customerID(i)}}},
			CustomData: stdCustomData{
				Contents: []stdContent{{"sku-1", 1, "99.99"}, {"sku-2", 2, "25.00"}}, Currency: "USD", Value: "149.99",
			},
		}
	}
	return events
}

// standard sends with json.Marshal and an http.Client, in requests of a number of
// events, from a number of goroutines.
func standard(name string, batch, goroutines int) sender {
	return sender{name, func(tb testing.TB, url string, orders int) func() {
		events := stdEvents(orders)
		return func() {
			batches := make(chan []stdEvent, orders/batch+1)
			for len(events) > 0 {
				n := min(batch, len(events))
				batches <- events[:n]
				events = events[n:]
			}
			close(batches)
			var group sync.WaitGroup
			for range goroutines {
				group.Go(func() {
					for events := range batches {
						if err := post(url, events); err != nil {
							tb.Error(err)
						}
					}
				})
			}
			group.Wait()
		}
	}}
}

func post(url string, events []stdEvent) error {
	body, err := json.Marshal(stdRequest{IdempotencyKey: events[0].ID, EventSourceID: "shop", Events: events})
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, url+"/agentic/v1/capi", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
