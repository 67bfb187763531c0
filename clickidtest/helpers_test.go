package clickidtest_test

import (
	"context"
	"strconv"
	"testing"
)

// minimalEvents returns n events of log_event with the IDs 0, 1 and so on.
func minimalEvents(n int) []string {
	events := make([]string, n)
	for i := range events {
		events[i] = minimalEvent("purchase", strconv.Itoa(i))
	}
	return events
}

func minimalEvent(kind, id string) string {
	return `{"event_id":"` + id + `","event_type":"` + kind + `","event_time":"2024-11-23T10:15:30Z"}`
}

// contextWithCancel returns a context that ends with the test at the latest.
func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(limited(t))
	t.Cleanup(cancel)
	return ctx, cancel
}
