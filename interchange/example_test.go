package interchange_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/interchange"
)

// startPlatform starts a receiver and returns a client of its management API.
func startPlatform() (*clickidtest.Server, *interchange.Client) {
	platform, err := clickidtest.Start("127.0.0.1:0", clickidtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	client, err := interchange.New(interchange.Config{
		APIKey:       clickidtest.APIKey,
		AdvertiserID: clickidtest.AdvertiserID,
		BaseURL:      platform.URL, // left out in production
	})
	if err != nil {
		log.Fatal(err)
	}
	return platform, client
}

// A shop checks its API key and registers itself as an event source.
func ExampleClient_Sync() {
	platform, client := startPlatform()
	defer platform.Close()
	ctx := context.Background()

	account, err := client.Account(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the key of", account.Company)

	results, err := client.Sync(ctx, interchange.EventSource{
		ID:         "boots-shop",
		Name:       "Boots",
		EventTypes: []string{"purchase", "refund"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(r.ID, r.Action)
	}
	// Output:
	// the key of Test company
	// boots-shop created
}

// A shop checks whether the platform receives and counts its events.
func ExampleClient_Summary() {
	platform, client := startPlatform()
	defer platform.Close()
	ctx := context.Background()

	shop, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		BaseURL: platform.URL,
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	hour := time.Now().Add(-time.Hour).Truncate(time.Hour)
	_, err = shop.Send(ctx, clickid.Event{
		Type: clickid.Purchase, ID: "order-1001", Time: hour, Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	})
	if err != nil {
		log.Fatal(err)
	}

	sources, err := client.EventSources(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range sources {
		fmt.Println(s.ID, s.Health.Status)
	}
	summary, err := client.Summary(ctx, interchange.SummaryQuery{
		Class: interchange.ClassConversion, Start: hour, End: hour.Add(time.Hour),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("counted:", summary.Total)
	// Output:
	// shop receiving
	// counted: 1
}
