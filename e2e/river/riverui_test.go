package river_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
)

// riverUI is the client with which River UI presses its buttons.
func riverUI(t *testing.T, pool *pgxpool.Pool) *river.Client[pgx.Tx] {
	t.Helper()
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: riveroutbox.DefaultSchema})
	require.NoError(t, err)
	return client
}

// pressed is what a button makes of an event.
type pressed struct {
	refused  bool         // by River
	state    outbox.State // in the end, or 0 if the outbox does not know the event
	received int          // how often the platform has received it
	known    bool         // the same event is not stored again
}

// TestRiverUI presses each button on an event in each state, and holds the effects
// to the table in docs/river.md.
func TestRiverUI(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/river.md")
	require.NoError(t, err)
	type effect struct {
		words string
		pressed
	}
	rows := []struct {
		state, event          string
		retry, cancel, delete effect
	}{
		{"waits", "waiting",
			effect{"is sent at once", pressed{false, outbox.StateDelivered, 1, true}},
			effect{"becomes a dead letter", pressed{false, outbox.StateDeadLettered, 0, true}},
			effect{"**is lost**", pressed{false, 0, 0, false}}},
		{"is being sent", "running",
			effect{"no effect", pressed{false, outbox.StateDelivered, 1, true}},
			effect{"becomes a dead letter, and may have arrived", pressed{false, outbox.StateDeadLettered, 0, true}},
			effect{"refused", pressed{true, outbox.StateDelivered, 1, true}}},
		{"was delivered", "delivered",
			effect{"sends nothing", pressed{false, outbox.StateDelivered, 1, true}},
			effect{"no effect", pressed{false, outbox.StateDelivered, 1, true}},
			effect{"its identity is forgotten", pressed{false, 0, 1, false}}},
		{"was skipped", "skipped",
			effect{"sends nothing", pressed{false, outbox.StateSkipped, 0, false}},
			effect{"no effect", pressed{false, outbox.StateSkipped, 0, false}},
			effect{"its trace is removed", pressed{false, 0, 0, false}}},
		{"is a dead letter", "dead",
			effect{"replays it", pressed{false, outbox.StateDelivered, 1, true}},
			effect{"no effect", pressed{false, outbox.StateDeadLettered, 0, true}},
			effect{"discards it", pressed{false, 0, 0, false}}},
	}
	for _, row := range rows {
		want := "| " + strings.Join([]string{row.state, row.retry.words, row.cancel.words, row.delete.words}, " | ") + " |\n"
		require.True(t, strings.Contains(string(guide), want), "docs/river.md has no row %s", want)
	}
	for _, button := range []string{"Retry", "Cancel", "Delete"} {
		t.Run(button, func(t *testing.T) {
			t.Parallel()
			got := pressButton(t, button)
			for _, row := range rows {
				want := map[string]effect{"Retry": row.retry, "Cancel": row.cancel, "Delete": row.delete}[button]
				found := got[row.event]
				if strings.Contains(want.words, "may have arrived") {
					found.received = want.received
				}
				require.Equal(t, want.pressed, found, "an event that %s: %s", row.state, want.words)
			}
		})
	}
}

// pressButton presses a button on an event in each state.
func pressButton(t *testing.T, button string) map[string]pressed {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	cfg := riveroutbox.Config{Delivery: outbox.Config{
		Destination: newClient(t, platform),
		Consent: func(_ context.Context, e clickid.Event) (clickid.Consent, error) {
			if e.ID == "skipped" {
				return clickid.ConsentDenied, nil
			}
			return clickid.ConsentGranted, nil
		},
	}}

	// One instance leaves an event in each of the states, another delivers one
	// while the button is pressed.
	first := newOutbox(t, pool, cfg)
	require.NoError(t, first.Start(ctx))
	lift := platform.RefuseEvents(clickidtest.EventRefusal{IDs: []string{"dead"}})
	store(t, first, "delivered", "skipped", "dead")
	awaitQueued(t, first, 0)
	lift()
	lift = platform.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"3600"}}})
	store(t, first, "waiting")
	eventually(t, "a failed attempt", func(ctx context.Context) (bool, error) {
		entries, err := first.Find(ctx, "waiting")
		return err == nil && len(entries) == 1 && len(entries[0].Attempts) == 1, err
	})
	_, err := first.Stop(ctx)
	require.NoError(t, err)
	lift()
	hold := make(chan struct{})
	lift = platform.Always(clickidtest.Fault{Hold: hold})
	ob := newOutbox(t, pool, cfg)
	start(t, ob)
	store(t, ob, "running")
	_, err = platform.WaitRequests(ctx, len(platform.Requests())+1)
	require.NoError(t, err)

	result := make(map[string]pressed)
	ui := riverUI(t, pool)
	for i, event := range []string{"delivered", "skipped", "dead", "waiting", "running"} {
		press := map[string]func(context.Context, int64) (*rivertype.JobRow, error){
			"Retry": ui.JobRetry, "Cancel": ui.JobCancel, "Delete": ui.JobDelete,
		}[button]
		_, err := press(ctx, int64(i+1))
		if !errors.Is(err, rivertype.ErrJobRunning) {
			require.NoError(t, err)
		}
		result[event] = pressed{refused: err != nil}
	}
	if button == "Cancel" {
		// The delivery is interrupted while the platform holds its request.
		awaitQueued(t, ob, 0)
	}
	lift()
	close(hold)
	awaitQueued(t, ob, 0)

	received := make(map[string]int)
	for _, e := range platform.Accepted() {
		received[e.ID] = e.Received
	}
	for event, p := range result {
		entries, err := ob.Find(ctx, event)
		require.NoError(t, err)
		if len(entries) > 0 {
			p.state = entries[0].State
		}
		p.received = received[event]
		again, err := ob.Send(ctx, conversion(event))
		require.NoError(t, err)
		p.known = again.Results[0].Reason == "already known"
		result[event] = p
	}
	return result
}

// store stores an event for each ID, in this order.
func store(t *testing.T, ob *pgxOutbox, ids ...string) {
	t.Helper()
	for _, id := range ids {
		report, err := ob.Send(within(t, time.Minute), conversion(id))
		require.NoError(t, err)
		require.Equal(t, clickid.VerdictQueued, report.Results[0].Verdict)
	}
}

func awaitQueued(t *testing.T, ob *pgxOutbox, n int) {
	t.Helper()
	eventually(t, strconv.Itoa(n)+" queued events", func(ctx context.Context) (bool, error) {
		stats, err := ob.Stats(ctx)
		return stats.Queued == n, err
	})
}

// TestRiverUI_retryCancelled retries an event that was cancelled before it was
// sent. The event keeps its age, other than in a replay.
func TestRiverUI_retryCancelled(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	pool := sharedPool(t)
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}})
	store(t, ob, "A")
	before, err := ob.Find(ctx, "A")
	require.NoError(t, err)
	ui := riverUI(t, pool)
	_, err = ui.JobCancel(ctx, 1)
	require.NoError(t, err)
	letters := deadLetters(t, ob, 1)
	require.Equal(t, "the job was cancelled in River", letters[0].Reason)
	_, err = ui.JobRetry(ctx, 1)
	require.NoError(t, err)
	after, err := ob.Find(ctx, "A")
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// TestRiverUI_pause pauses the queue of one of two destinations. Its events wait,
// and a drain returns an error at once.
func TestRiverUI_pause(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	platform, pool := clickidtest.NewServer(t), sharedPool(t)
	platform.Register(clickidtest.AdvertiserID, "other")
	cfg := riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}}
	drained := newOutbox(t, pool, cfg)
	_, err := drained.Drain(ctx) // creates the queue
	require.NoError(t, err)
	ui := riverUI(t, pool)
	queues, err := ui.QueueList(ctx, river.NewQueueListParams())
	require.NoError(t, err)
	require.Len(t, queues.Queues, 1)
	require.NoError(t, ui.QueuePause(ctx, queues.Queues[0].Name, nil))

	store(t, drained, "A")
	result, err := drained.Drain(ctx)
	require.ErrorContains(t, err, "the queue is paused in River")
	require.Equal(t, outbox.Drained{Remaining: 1}, result)

	var log bytes.Buffer
	cfg.Delivery.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	paused := newOutbox(t, pool, cfg)
	require.NoError(t, paused.Start(ctx))
	other, err := capi.New(capi.Config{APIKey: clickidtest.APIKey, BaseURL: platform.URL, Dialect: capi.LogEvent{EventSourceID: "other"}})
	require.NoError(t, err)
	active := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: other}})
	start(t, active)
	store(t, active, "B")
	await(t, platform, 1)
	awaitQueued(t, drained, 1)

	require.NoError(t, ui.QueueResume(ctx, queues.Queues[0].Name, nil))
	await(t, platform, 2)
	_, err = paused.Stop(ctx)
	require.NoError(t, err)
	require.Contains(t, log.String(), "the queue is paused in River")
}
