// Package capi is a client of the ad platform's conversion API.
//
// A [Client] sends events now, in the [LogEvent] dialect (AdCP's log_event, the
// platform's stable API) or in [ECAPI] (IAB ECAPI 1.0). It checks them, sends
// them in as few requests as the dialect allows, repeats what failed for a
// while, and returns one verdict for each:
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
// A Client forgets what it could not send. Where orders are kept in a database,
// give the client to an outbox instead, as its destination: the event is stored
// in the order's transaction and delivered in the background.
//
// A [Batcher] lets concurrent calls share requests, and [Client.DryRun] writes
// what would be sent. Errors of the platform are [ResponseError], those of the
// network [TransportError]; both implement [clickid.SendError] and never print
// the API key or what was sent.
package capi
