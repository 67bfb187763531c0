//go:build go1.25

package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// sendError is the error of a destination.
type sendError struct {
	kind   clickid.SendErrorKind
	status int
	code   string
}

func (e sendError) Error() string               { return fmt.Sprintf("test: refused with %d %s", e.status, e.code) }
func (e sendError) Kind() clickid.SendErrorKind { return e.kind }
func (e sendError) RetryAfter() time.Duration   { return 0 }
func (e sendError) Status() int                 { return e.status }
func (e sendError) ErrorCode() string           { return e.code }

var (
	provisional = sendError{clickid.SendErrorRefused, 400, "ODD"}
	final       = sendError{clickid.SendErrorEvent, 400, "VALIDATION_ERROR"}
	transient   = sendError{clickid.SendErrorTemporary, 200, "RATE_LIMITED"}
)

// destination is an in-process destination.
type destination struct {
	mu       sync.Mutex
	refusals map[string]error // by event ID; "" for all others
	calls    [][]outbox.Item
	accepted []string
	warnings []string // of the platform
	leftOut  []string // of every event
}

func (d *destination) Name() string { return "test" }

func (d *destination) Check(e clickid.Event) clickid.Result {
	result := clickid.Result{Type: e.Type, ID: e.ID, Verdict: clickid.VerdictReady}
	if _, _, err := e.Clean(); err != nil {
		result.Verdict, result.Reason, result.Err = clickid.VerdictRejected, err.Error(), err
	}
	return result
}

func (d *destination) Deliver(_ context.Context, items []outbox.Item) (clickid.Report, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, slices.Clone(items))
	report := clickid.Report{Warnings: d.warnings}
	for _, item := range items {
		result := clickid.Result{Verdict: clickid.VerdictAccepted, Warnings: d.leftOut}
		err, ok := d.refusals[item.Event.ID]
		if !ok {
			err = d.refusals[""]
		}
		if err != nil {
			result = clickid.Result{Verdict: clickid.VerdictFailed, Err: err, Responses: 1}
		} else {
			d.accepted = append(d.accepted, item.Event.ID)
		}
		report.Results = append(report.Results, result)
	}
	return report, report.Err()
}

// refuse sets the error of the given events, or of all events.
func (d *destination) refuse(err error, ids ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refusals = make(map[string]error)
	if len(ids) == 0 && err != nil {
		d.refusals[""] = err
	}
	for _, id := range ids {
		d.refusals[id] = err
	}
}

func (d *destination) requests() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

// probed returns the IDs of the sent events.
func (d *destination) probed() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := make(map[string]int)
	for _, call := range d.calls {
		for _, item := range call {
			ids[item.Event.ID]++
		}
	}
	return ids
}

func quiet(d outbox.Destination) outbox.Config {
	return outbox.Config{Destination: d, Logger: slog.New(slog.DiscardHandler)}
}

// accepting starts an outbox whose destination has accepted an event.
func accepting(t *testing.T, d *destination, edits ...func(*outbox.Config)) *outbox.Memory {
	t.Helper()
	cfg := quiet(d)
	for _, edit := range edits {
		edit(&cfg)
	}
	m := startMemory(t, cfg, 50)
	sendAll(t, m, []clickid.Event{purchase("first")})
	time.Sleep(time.Minute)
	require.Equal(t, 1, stats(t, m).Delivered)
	return m
}

func TestDelivery_provisionalRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{}
		m := accepting(t, d)
		d.refuse(provisional, "odd")
		sendAll(t, m, []clickid.Event{purchase("odd")})
		time.Sleep(12 * time.Hour)
		require.Equal(t, 1, stats(t, m).Queued, "the event waits")
		require.Equal(t, 1, d.probed()["odd"], "a waiting event is not sent")
		sendAll(t, m, []clickid.Event{purchase("second")})
		time.Sleep(10 * time.Minute)
		require.Equal(t, outbox.Stats{Delivered: 2, DeadLetters: 1}, stats(t, m))
		letters, err := m.DeadLetters(context.Background(), outbox.Page{})
		require.NoError(t, err)
		require.Equal(t, "odd", letters[0].EventID)
		require.Equal(t, 400, letters[0].Status)
		require.Len(t, letters[0].History, 2)
		require.Equal(t, "ODD", letters[0].History[0].Code)
	})
}

// TestDelivery_provisionalRefusalLifted refuses an order because of a wrong
// configuration. It is delivered after the fix.
func TestDelivery_provisionalRefusalLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{}
		m := accepting(t, d)
		d.refuse(provisional)
		sendAll(t, m, purchases(5))
		time.Sleep(time.Hour)
		require.Equal(t, 5, stats(t, m).Queued)
		d.refuse(nil)
		sendAll(t, m, []clickid.Event{purchase("second")})
		time.Sleep(10 * time.Minute)
		require.Equal(t, outbox.Stats{Delivered: 7}, stats(t, m))
	})
}

func TestDelivery_finalRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{}
		d.refuse(final, "bad")
		m := startMemory(t, quiet(d), 50)
		sendAll(t, m, []clickid.Event{purchase("bad")})
		time.Sleep(time.Second)
		require.Equal(t, outbox.Stats{DeadLetters: 1}, stats(t, m))
		require.Equal(t, 1, d.requests())
	})
}

// TestDelivery_everythingRefused refuses all events with one code. They are
// held, an alert is raised, and different events are sent as probes.
func TestDelivery_everythingRefused(t *testing.T) {
	for _, test := range []struct {
		name          string
		acceptedFirst bool
		events        int
	}{
		{"twenty events of a destination that worked", true, 20},
		{"one event of a destination that has accepted none", false, 1},
		{"many", true, 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, r := &destination{}, &recorder{}
				hook := func(cfg *outbox.Config) { cfg.Hook = r.hook }
				var m *outbox.Memory
				if test.acceptedFirst {
					m = accepting(t, d, hook)
				} else {
					cfg := quiet(d)
					hook(&cfg)
					m = startMemory(t, cfg, 50)
				}
				d.refuse(provisional)
				before := d.requests()
				for _, e := range purchases(test.events) {
					sendAll(t, m, []clickid.Event{e})
				}
				time.Sleep(time.Hour)
				require.Equal(t, test.events, stats(t, m).Queued)
				require.Equal(t, 1, r.count(outbox.KindConfigurationRefused), "an alert is raised")
				requests := d.requests() - before
				require.Greater(t, requests, 100, "the destination is probed")
				require.Less(t, requests, 500)
				if test.events > 1 {
					require.Greater(t, len(d.probed()), test.events/10, "with different events")
				}
				time.Sleep(17 * time.Hour)
				require.Equal(t, 2, r.count(outbox.KindConfigurationRefused), "the alert is repeated after a tenth of the maximum age")
				require.Zero(t, stats(t, m).DeadLetters)
				d.refuse(nil)
				time.Sleep(20 * time.Minute)
				require.Zero(t, stats(t, m).Queued, "one acceptance ends the hold")
				require.Zero(t, stats(t, m).DeadLetters)
			})
		})
	}
}

func TestDelivery_everythingRefusedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{}
		d.refuse(provisional)
		m := startMemory(t, quiet(d), 50)
		sendAll(t, m, purchases(30))
		time.Sleep(8 * 24 * time.Hour)
		require.Equal(t, outbox.Stats{DeadLetters: 30}, stats(t, m))
		letters, err := m.DeadLetters(context.Background(), outbox.Page{Limit: 1})
		require.NoError(t, err)
		require.Contains(t, letters[0].Reason, "maximum event age")
		require.Contains(t, letters[0].Reason, "ODD")
		require.LessOrEqual(t, len(letters[0].History), 10)
	})
}

// TestDelivery_provisionalRefusalForLong refuses a few events, and no other
// event comes. They are sent again and reported.
func TestDelivery_provisionalRefusalForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, r := &destination{}, &recorder{}
		m := accepting(t, d, func(cfg *outbox.Config) { cfg.Hook = r.hook })
		d.refuse(provisional)
		sendAll(t, m, purchases(2))
		time.Sleep(16 * time.Hour)
		require.Zero(t, r.count(outbox.KindConfigurationRefused))
		time.Sleep(2 * time.Hour)
		require.Equal(t, 1, r.count(outbox.KindConfigurationRefused))
		d.refuse(nil)
		time.Sleep(time.Hour)
		require.Equal(t, outbox.Stats{Delivered: 3}, stats(t, m))
	})
}

// TestDelivery_responses counts the verdicts of the platform, since it would
// repeat them for the same idempotency key.
func TestDelivery_responses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{}
		d.refuse(transient)
		m := startMemory(t, quiet(d), 50)
		sendAll(t, m, purchases(1))
		time.Sleep(time.Minute)
		d.refuse(nil)
		time.Sleep(10 * time.Minute)
		require.Equal(t, 1, stats(t, m).Delivered)
		d.mu.Lock()
		defer d.mu.Unlock()
		for i, call := range d.calls {
			require.Equal(t, i, call[0].Responses)
		}
	})
}

// TestDelivery_warningsOfEvent checks that the record of an event has the
// warnings of the event and those of the platform.
func TestDelivery_warningsOfEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const platform, event = "the currency is unusual", "custom_name was left out"
		m := startMemory(t, quiet(&destination{warnings: []string{event, platform}, leftOut: []string{event}}), 50)
		e := purchases(1)[0]
		sendAll(t, m, []clickid.Event{e})
		time.Sleep(time.Second)
		entries, err := m.Find(context.Background(), e.ID)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		require.ElementsMatch(t, []string{event, platform}, entries[0].Warnings)
	})
}

func TestDelivery_warnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, r := &destination{warnings: []string{"the currency is unusual"}}, &recorder{}
		cfg := quiet(d)
		cfg.Hook = r.hook
		m := startMemory(t, cfg, 50)
		for _, e := range purchases(3) {
			sendAll(t, m, []clickid.Event{e})
			time.Sleep(time.Second)
		}
		s, err := m.Stats(context.Background())
		require.NoError(t, err)
		require.Equal(t, 3, s.Platform.Warnings)
		require.Equal(t, "the currency is unusual", s.Platform.LastWarning)
		require.Equal(t, 3, r.count(outbox.KindWarning))
	})
}

// TestDelivery_timeAhead queues an event whose time is ahead. It waits for that
// time.
func TestDelivery_timeAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{}
		m := startMemory(t, quiet(d), 50)
		e := purchase("ahead")
		e.Time = time.Now().Add(4 * time.Minute)
		sendAll(t, m, []clickid.Event{e})
		time.Sleep(4*time.Minute - time.Second)
		require.Zero(t, d.requests())
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, stats(t, m).Delivered)
	})
}

func TestDelivery_outageAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, r := &destination{}, &recorder{}
		d.refuse(errors.New("no response"))
		cfg := quiet(d)
		cfg.Hook, cfg.MaxAge = r.hook, 10*time.Hour
		m := startMemory(t, cfg, 50)
		sendAll(t, m, purchases(10))
		time.Sleep(59 * time.Minute)
		require.Zero(t, r.count(outbox.KindStillUnavailable))
		time.Sleep(2 * time.Minute)
		require.Equal(t, 1, r.count(outbox.KindStillUnavailable))
		time.Sleep(time.Hour)
		require.Equal(t, 2, r.count(outbox.KindStillUnavailable))
	})
}

// TestDelivery_hookPanics checks that a panic of the hook does not end the
// process.
func TestDelivery_hookPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := quiet(&destination{})
		cfg.Hook = func(context.Context, outbox.Observation) { panic("hook") }
		m := startMemory(t, cfg, 50)
		sendAll(t, m, purchases(3))
		time.Sleep(time.Minute)
		require.Equal(t, 3, stats(t, m).Delivered)
	})
}
