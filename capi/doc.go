// Package capi implements a client of the ad platform's conversion API.
//
// A [Client] sends events in the [LogEvent] dialect (AdCP's log_event, the
// platform's stable API) or in [ECAPI] (IAB ECAPI 1.0). It validates the
// events, sends them in as few requests as the dialect allows, retries failed
// requests, and returns a verdict for each event:
//
//	client, err := capi.New(capi.Config{
//		APIKey:   os.Getenv("CLICKID_API_KEY"),
//		Dialect:  capi.LogEvent{EventSourceID: "my-shop"},
//		Resolver: tracker,
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	result, err := clickid.Convert(r.Context(), client, clickid.Event{
//		Type: clickid.Purchase, ID: order.Number, Time: order.PlacedAt,
//		Value: clickid.Minor(order.Cents, "USD"),
//	})
//
// A Client does not store events that it could not send. If orders are in a
// database, use the client as the destination of an outbox: the event is stored
// in the order's transaction and delivered in the background.
//
// With a [Batcher], concurrent calls share requests. [Client.DryRun] writes the
// requests instead of sending them. [ResponseError] is an error of the
// platform, [TransportError] one of the network. Both implement
// [clickid.SendError], and neither prints the API key or the sent events.
package capi
