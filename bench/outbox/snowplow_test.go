//go:build cgo

package outbox_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/snowplow/snowplow-golang-tracker/v3/pkg/storage/sqlite3"
	"github.com/snowplow/snowplow-golang-tracker/v3/tracker"
)

func init() { peers = append(peers, peer{"Snowplow, SQLite", openSnowplow}) }

// openSnowplow returns a function that tracks orders with Snowplow's tracker and
// its SQLite storage. Its collector never responds, so that it only stores.
func openSnowplow(b *testing.B) func(n int) {
	b.Helper()
	emitter := tracker.InitEmitter(
		tracker.RequireCollectorUri("collector.example"),
		tracker.RequireStorage(sqlite3.Init(filepath.Join(b.TempDir(), "events.db"))),
		tracker.OptionHttpClient(&http.Client{Transport: hanging{}}),
	)
	t := tracker.InitTracker(tracker.RequireEmitter(emitter))
	number := 0
	return func(n int) {
		for range n {
			number++
			category, action, order, currency, value := "shop", "purchase", fmt.Sprint("S-", number), "USD", 149.99
			t.TrackStructEvent(tracker.StructuredEvent{
				Category: &category, Action: &action, Label: &order, Property: &currency, Value: &value,
			})
		}
	}
}

// hanging is a connection without a response.
type hanging struct{}

func (hanging) RoundTrip(*http.Request) (*http.Response, error) { select {} }
