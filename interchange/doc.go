// Package interchange implements a client of the ad platform's management API,
// Interchange (buyer API v2). An event source must be registered before its
// first log_event, and only this API returns the numbers of counted events:
//
//	client, err := interchange.New(interchange.Config{
//		APIKey:       os.Getenv("CLICKID_API_KEY"),
//		AdvertiserID: "12345",
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	results, err := client.Sync(ctx, interchange.EventSource{ID: "my-shop", Name: "My shop"})
//	sources, err := client.EventSources(ctx) // with their health
//	summary, err := client.Summary(ctx, interchange.SummaryQuery{})
//
// The client waits up to two minutes before a request if the platform's RateLimit
// headers leave none, and sends a request again after status 429, up to three
// times. A call whose wait is longer, or ends after the deadline of its context,
// returns an error at once. Other failures are not retried.
//
// Errors of the platform and of the network have the type [*Error]. They contain
// neither the API key nor sent values.
package interchange
