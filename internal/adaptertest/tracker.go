package adaptertest

import (
	"testing"

	"github.com/clickid/clickid"
)

// NewTracker returns a tracker with a cookie store.
func NewTracker(tb testing.TB) *clickid.Tracker {
	tb.Helper()
	tracker, err := clickid.New(clickid.Config{Store: cookieStore(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	return tracker
}
