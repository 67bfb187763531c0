//go:build cgo

package sending_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/snowplow/snowplow-golang-tracker/v3/pkg/storage/sqlite3"
)

func init() { durable = append(durable, snowplowRestarted()) }

// snowplowRestarted keeps events in SQLite. After the flush it opens the file
// again, as after a deployment, and flushes until the file is empty.
func snowplowRestarted() sender {
	return sender{"Snowplow, SQLite", func(tb testing.TB, url string, orders int) func() {
		file := filepath.Join(tb.TempDir(), "events.db")
		send := snowplowWith(sqlite3.Init(file), url, orders)
		return func() {
			send()
			tracker, closeIdle := snowplowTracker(sqlite3.Init(file), url)
			defer closeIdle()
			for end := time.Now().Add(patience / 2); tracker.BlockingFlush(1, 100) > 0 && time.Now().Before(end); {
			}
		}
	}}
}
