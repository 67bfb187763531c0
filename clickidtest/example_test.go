package clickidtest_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
)

// A client sends an event to the receiver, which records it. In a test,
// NewServer starts the receiver and closes it at the end.
func Example() {
	platform, client := start()
	defer platform.Close()

	_, err := client.Send(context.Background(), purchase("order-1001"))
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range platform.Accepted() {
		fmt.Println(e.Type, e.ID, e.Value, e.Currency)
	}
	// Output: purchase order-1001 149.99 USD
}

// The receiver fails once with status 503, and then cuts the connection after it
// has recorded the event. The client sends the event again, and it counts once.
func ExampleReceiver_Next() {
	platform, client := start()
	defer platform.Close()

	platform.Next(
		clickidtest.Fault{Status: 503},
		clickidtest.Fault{Cut: clickidtest.CutAfterProcessing},
	)
	report, err := client.Send(context.Background(), purchase("order-1001"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Results[0].Verdict, "after", len(platform.Requests()), "requests")
	fmt.Println("counted", platform.Count())
	// Output:
	// accepted after 3 requests
	// counted 1
}

// The platform refuses one order of several.
func ExampleReceiver_RefuseEvents() {
	platform, client := start()
	defer platform.Close()

	lift := platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"order-1002"}})
	defer lift()
	report, _ := client.Send(context.Background(), purchase("order-1001"), purchase("order-1002"))
	for _, r := range report.Results {
		fmt.Println(r.ID, r.Verdict)
	}
	// Output:
	// order-1001 accepted
	// order-1002 rejected
}

func start() (*clickidtest.Server, *capi.Client) {
	platform, err := clickidtest.Start("127.0.0.1:0", clickidtest.Config{})
	if err != nil {
		log.Fatal(err)
	}
	client, err := capi.New(capi.Config{
		APIKey:  clickidtest.APIKey,
		BaseURL: platform.URL,
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		Retry:   capi.Retry{BaseDelay: time.Millisecond},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	return platform, client
}

func purchase(id string) clickid.Event {
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	}
}
