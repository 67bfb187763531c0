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
func ExampleNew_ecapi() {
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
func ExampleNew_logEvent() {
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
