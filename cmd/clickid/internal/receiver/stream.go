package receiver

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// coalescing is the shortest time between two messages, so that a page keeps
	// up with an upload.
	coalescing = 50 * time.Millisecond
	// heartbeat is the longest time without a message.
	heartbeat = 15 * time.Second
	// reconnection is how long a page waits before it connects again.
	reconnection = time.Second
)

// arrivals are the latest events since the last message, oldest first.
type arrivals struct {
	Events []Entry `json:"events"`
	// Total is the number of events, also those beyond the limit.
	Total int `json:"total"`
}

// snapshot is the first message of a stream, and the one after a clear.
type snapshot struct {
	arrivals
	Links []Link `json:"links"`
	// Run changes when the receiver restarts, so that numbers may repeat.
	Run string `json:"run"`
}

// state is what the page shows besides the events.
type state struct {
	Counts   Counts   `json:"counts"`
	Faults   []fault  `json:"faults"`
	Timeline timeline `json:"timeline"` // the minutes that have changed
}

// cursor is a position in the store.
type cursor struct {
	generation, number int
	minute             int64
	fresh              bool
}

// stream sends the events that match a filter as server-sent events: a
// snapshot, then arrivals as they come.
func (r *Receiver) stream(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	f, err := parseFilter(query, "limit")
	if err != nil {
		respond(w, nil, err)
		return
	}
	limit, err := limitOf(query)
	if err != nil {
		respond(w, nil, err)
		return
	}
	ctx, cancel := r.untilStopped(req)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	_, err = fmt.Fprintf(w, "retry: %d\n\n", reconnection.Milliseconds())
	if err != nil {
		return
	}
	out := http.NewResponseController(w)
	at := cursor{fresh: true}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		arrived, fresh, now, changed := r.store.since(&at, f, limit)
		now.Faults = r.faults()
		switch {
		case fresh:
			err = send(w, "snapshot", snapshot{arrived, append([]Link{}, r.options.Links...), r.run})
		case arrived.Total > 0:
			err = send(w, "arrivals", arrived)
		}
		if errors.Join(err, send(w, "state", now), out.Flush()) != nil {
			return // the page is closed
		}
		select {
		case <-changed:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(coalescing):
		case <-ctx.Done():
			return
		}
	}
}

func send(w http.ResponseWriter, event string, v any) error {
	data, err := encode(v) // one line
	if err == nil {
		_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
	}
	return err
}

// since moves the cursor to the latest entry and returns what has arrived, or the
// latest events if the cursor is fresh or the events were cleared.
func (s *store) since(at *cursor, f filter, limit int) (arrived arrivals, fresh bool, now state, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fresh = at.fresh || at.generation != s.generation; fresh {
		*at = cursor{generation: s.generation}
	}
	f.after = max(f.after, at.number)
	arrived.Events, arrived.Total = s.latest(f, limit)
	now = state{Counts: s.Counts, Timeline: s.timeline.since(at.minute)}
	at.number = s.Next - 1
	if n := len(s.timeline); n > 0 {
		at.minute = s.timeline[n-1].At
	}
	return arrived, fresh, now, s.changed
}
