// Package clickid ties ad clicks to orders.
//
// A visitor lands on a shop with a click ID in the URL (?clkid=…). A [Tracker]
// wraps the shop's router, keeps the click in a [Store] and hands it to every
// later request of that visitor. When the order completes, [Convert] finds the
// click and gives the conversion to a [Sender]: a client of the package capi,
// which sends now, or an outbox, which commits with the order and sends in the
// background.
//
//	key, err := clickid.ParseCookieKey(os.Getenv("CLICKID_COOKIE_KEY"))
//	store, err := clickid.NewCookieStore(key)
//	tracker, err := clickid.New(clickid.Config{Store: store})
//	client, err := capi.New(capi.Config{APIKey: apiKey, Dialect: capi.LogEvent{EventSourceID: "my-shop"}})
//
//	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
//		result, err := clickid.Convert(r.Context(), client, clickid.Event{
//			Type: clickid.Purchase, ID: order.Number, Time: order.PlacedAt, Value: clickid.Minor(order.Cents, "USD"),
//		})
//	})
//	http.ListenAndServe(addr, tracker.Handler(mux))
//
// # Three ways to a click
//
// Each way has its own verb:
//
//	by            click              conversion             used in
//	request       Lookup             Convert                pages behind the tracker
//	token         Tracker.Resolve    Convert (ClickToken)   webhooks; Token gives the token
//	your own key  Tracker.Linked     Tracker.ConvertFor     webhooks and jobs; Tracker.Link links the key
//
// [Lookup], [Tracker.Resolve] and [Tracker.Linked] return an error that matches
// [ErrNotFound] when there is certainly no click, and another error when the
// store cannot tell. [FromContext] is Lookup for callers who do not need the
// difference. [WithClick] puts a click that is known otherwise into a context.
//
// The package extension is for authors of stores and adapters. All types of
// this package are safe for concurrent use unless documented otherwise.
package clickid
