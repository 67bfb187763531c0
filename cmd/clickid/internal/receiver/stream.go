package receiver

import (
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
)

// snapshot is the first message of a stream, and the one after a clear.
type snapshot struct {
	Events []Entry `json:"events"` // the latest, oldest first
	Total  int     `json:"total"`
	Links  []Link  `json:"links"`
	// Run changes when the receiver restarts, so that numbers may repeat.
	Run string `json:"run"`
}

// arrivals are the events that have arrived since the last message.
type arrivals struct {
	Events []Entry `json:"events"`
	Total  int     `json:"total"`
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
	ctx, cancel := r.untilStopped(req, 0)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	at := cursor{fresh: true}
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		name, message, now, changed := r.store.since(&at, f, limit)
		now.Faults = r.faults()
		if name == "snapshot" {
			message = snapshot{message.(arrivals).Events, message.(arrivals).Total, append([]Link{}, r.options.Links...), r.run}
		}
		if name != "" && send(w, name, message) != nil || send(w, "state", now) != nil || out.Flush() != nil {
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

// since moves the cursor to the latest entry. The message is a snapshot, the
// arrivals since the last call, or "" if nothing has arrived.
func (s *store) since(at *cursor, f filter, limit int) (name string, message any, now state, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.fresh || at.generation != s.generation {
		*at = cursor{generation: s.generation}
		name = "snapshot"
	}
	from := max(f.after, at.number)
	f.after = from
	if name != "" || s.Next-1 > at.number {
		found, total := s.latest(f, limit)
		message = arrivals{found, total}
		if name == "" && total > 0 {
			name = "arrivals"
		}
	}
	at.number = s.Next - 1
	now = state{Counts: s.Counts, Timeline: s.timeline.since(at.minute)}
	if n := len(s.timeline); n > 0 {
		at.minute = s.timeline[n-1].At
	}
	return name, message, now, s.changed
}
