// Package clickid keeps ad clicks and conversions together.
//
// A visitor lands on a shop with a click ID in the URL (?clkid=…). A [Tracker]
// wraps the shop's router, keeps the click in a [Store] and hands it to every
// later request of that visitor. When the order completes, [Convert] looks the
// click up and sends the conversion to the ad platform through a [Sender]: a
// [Client], which sends now, or an outbox, which commits with the order and
// sends in the background.
//
// All types of this package are safe for concurrent use unless their comment
// says otherwise.
package clickid
