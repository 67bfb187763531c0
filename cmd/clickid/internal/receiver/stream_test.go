package receiver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/stretchr/testify/require"
)

// stream reads server-sent events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

// streamed is the data of any message.
type streamed struct {
	list
	Faults   []map[string]any
	Links    []receiver.Link
	Timeline []struct{ At, Accepted, Rejected, Duplicate int }
}

func (s *server) stream(query string) *stream {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/stream?"+query, nil)
	require.NoError(s.t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(s.t, "text/event-stream", resp.Header.Get("Content-Type"))
	return &stream{s.t, bufio.NewScanner(resp.Body)}
}

// next returns the next message of the name.
func (s *stream) next(name string) (v streamed) {
	s.t.Helper()
	for s.lines.Scan() {
		if s.lines.Text() != "event: "+name {
			continue
		}
		require.True(s.t, s.lines.Scan())
		require.NoError(s.t, json.Unmarshal([]byte(strings.TrimPrefix(s.lines.Text(), "data: ")), &v))
		return v
	}
	s.t.Fatalf("the stream has ended: %v", s.lines.Err())
	return v
}

func TestReceiver_stream(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *receiver.Options) { o.Links = []receiver.Link{{Text: "The shop", URL: "http://127.0.0.1:1/"}} })
	s.send(ecapiPath, purchase("order-1"))
	purchases, all := s.stream("type=purchase"), s.stream("kind=all&limit=1")
	first := purchases.next("snapshot")
	require.Equal(t, []string{"order-1"}, first.ids())
	require.Equal(t, "The shop", first.Links[0].Text)
	require.Equal(t, 1, purchases.next("state").Counts.Accepted)
	all.next("snapshot")
	s.send(capiPath, logEvents("1", lead("lead-1"), lead("lead-2")))
	arrived := all.next("arrivals")
	require.Equal(t, []string{"lead-2"}, arrived.ids())
	require.Equal(t, 2, arrived.Total)
	s.send(ecapiPath, purchase("order-1"))
	again := purchases.next("arrivals")
	require.Equal(t, []string{"order-1"}, again.ids(), "events that do not match are left out")
	require.Equal(t, []int{2, 2, 1}, []int{again.Events[0].Attempt, again.Events[0].Attempts, again.Events[0].Duplicates})
	state := purchases.next("state")
	for state.Counts.Duplicate == 0 {
		state = purchases.next("state")
	}
	require.NotEmpty(t, state.Timeline)
	call[any](s, 200, http.MethodPost, "/api/v1/faults", `{"fault":"503"}`)
	for len(state.Faults) == 0 {
		state = purchases.next("state")
	}
	call[any](s, 200, http.MethodDelete, "/api/v1/events", "")
	require.Empty(t, purchases.next("snapshot").Events)
	s.r.Stop()
	for purchases.lines.Scan() {
	}
	require.NoError(t, purchases.lines.Err(), "the stream ends with the receiver")
}
