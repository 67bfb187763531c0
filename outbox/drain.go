package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// Drainer is an [Outbox] that can deliver without a worker in the background.
// All outboxes of this project implement it.
type Drainer interface {
	Outbox
	// Drain delivers the events that are due when it begins, and returns. It
	// makes one attempt for each event and does not wait for the next one, nor
	// for an unavailable platform. If ctx ends first, it interrupts the
	// deliveries and returns an error that matches ctx's. No event is lost.
	// Drain on a started outbox is an error. Start works after Drain.
	Drain(ctx context.Context) (Drained, error)
}

// Drained is the result of a [Drain].
type Drained struct {
	// Settled is the number of events that were accepted, skipped or became dead
	// letters.
	Settled int `json:"settled"`
	// Remaining is the number of events that are still queued: they wait for
	// their next attempt, or another process delivers them.
	Remaining int `json:"remaining"`
}

// Drain delivers the events of ob that are due, and returns. It is for
// deployments without a process that runs all the time, such as functions and
// cron jobs: they call Drain instead of Start. See [Drainer]. The error matches
// [errors.ErrUnsupported] if ob is not a Drainer.
func Drain(ctx context.Context, ob Outbox) (Drained, error) {
	d, ok := ob.(Drainer)
	if !ok {
		return Drained{}, fmt.Errorf("outbox: draining: %T has no method Drain: %w", ob, errors.ErrUnsupported)
	}
	if q, ok := ob.(Queue); ok {
		if err := q.Delivery().CheckStart(); err != nil {
			return Drained{}, err
		}
	}
	return d.Drain(ctx)
}

// ErrStarted means that an outbox delivers in the background and cannot be
// drained.
var ErrStarted = errors.New("outbox: draining: the outbox has been started; call Drain or Start, not both")

// DrainHandler returns a handler that drains ob, for a scheduler that calls a
// URL. It allows POST and, since some schedulers cannot send it, GET. A drain ends
// after limit, which is positive and less than the time that the scheduler waits
// for the response. The response to a drain, also to one that reached the limit,
// is a [Drained] in JSON. Other failures are logged, and the status is 500.
//
// The handler does not check who calls it. Wrap it in the application's
// authentication.
func DrainHandler(ob Outbox, limit time.Duration) http.Handler {
	logger := slog.Default()
	if q, ok := ob.(Queue); ok {
		logger = q.Delivery().cfg.Logger
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost && r.Method != http.MethodGet {
			w.Header().Set("Allow", "GET, POST")
			http.Error(w, "use POST", http.StatusMethodNotAllowed)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		drained, err := Drain(ctx, ob)
		// Without a number of remaining events, the limit has ended the drain
		// before it could look at the queue.
		if limited := ctx.Err() != nil && drained.Remaining > 0; err != nil && !limited {
			logger.ErrorContext(r.Context(), "outbox: draining failed", "error", err)
			http.Error(w, "draining failed; the log has the reason", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(drained) // the client has gone
	})
}

// drain is the state of a Drain in the context of its deliveries.
type drain struct{ settled atomic.Int64 }

type drainKey struct{}

// Draining is for authors of queues. It returns the context for the deliveries of
// a Drain, and a function that returns the number of settled events. With this
// context, [Delivery.Deliver] does not wait while the platform is unavailable.
func Draining(ctx context.Context) (context.Context, func() int) {
	d := &drain{}
	return context.WithValue(ctx, drainKey{}, d), func() int { return int(d.settled.Load()) }
}

// drainOf returns the drain of a delivery, or nil.
func drainOf(ctx context.Context) *drain {
	d, _ := ctx.Value(drainKey{}).(*drain)
	return d
}

// holdLimit returns how long a delivery waits for an unavailable platform.
func (d *drain) holdLimit() time.Duration {
	if d != nil {
		return 0
	}
	return holdLimit
}

// settle counts a final outcome.
func (d *drain) settle(a Action) {
	if d != nil && (a == ActionDone || a == ActionSkip || a == ActionDeadLetter) {
		d.settled.Add(1)
	}
}
