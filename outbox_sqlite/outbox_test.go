package sqliteoutbox_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// newClient returns a LogEvent client of the receiver.
func newClient(tb testing.TB, platform *clickidtest.Server) *capi.Client {
	tb.Helper()
	client, err := capi.New(capi.Config{
		APIKey:    clickidtest.APIKey,
		BaseURL:   platform.URL,
		Dialect:   capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		RateLimit: capi.RateLimit{Requests: -1},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func order(id string) clickid.Event {
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: time.Now(), Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"}, Source: clickid.SourceApp,
	}
}

// patience returns a context that limits the waits of these tests.
func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestOpenAndStart(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	platform := clickidtest.NewServer(t)
	ob, err := sqliteoutbox.OpenAndStart(ctx, filepath.Join(t.TempDir(), "outbox.db"), sqliteoutbox.Config{
		Delivery: outbox.Config{Destination: newClient(t, platform)},
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := ob.Send(ctx, order("A-1"), order("A-2"), order("A-1"))
	if err != nil || !report.Accepted() {
		t.Fatalf("Send: %+v, %v", report, err)
	}
	if _, err := platform.Wait(ctx, 2); err != nil {
		t.Fatal(err)
	}
	remaining, err := ob.Stop(ctx)
	if err != nil || remaining != 0 {
		t.Fatalf("Stop: %d, %v", remaining, err)
	}
	stats, err := ob.Stats(ctx)
	if err != nil || stats.Delivered != 2 || stats.Queued != 0 || stats.DeadLetters != 0 {
		t.Fatalf("Stats: %+v, %v", stats, err)
	}
	if err := ob.Close(); err != nil {
		t.Fatal(err)
	}
}

// A destination without a delivery has only the hash in the name of its queue.
func TestOutbox_Destinations(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	path := filepath.Join(t.TempDir(), "outbox.db")
	client := newClient(t, clickidtest.NewServer(t))
	ob, err := sqliteoutbox.OpenAndStart(ctx, path, sqliteoutbox.Config{Delivery: outbox.Config{Destination: client}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ob.Close() }()
	other, err := capi.New(capi.Config{APIKey: clickidtest.APIKey, Dialect: capi.LogEvent{EventSourceID: "other"}})
	if err != nil {
		t.Fatal(err)
	}
	idle, err := openIdle(ctx, path, sqliteoutbox.Config{Delivery: outbox.Config{Destination: other}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	if names, err := ob.Destinations(ctx); err != nil || len(names) != 0 {
		t.Fatalf("of an empty outbox: %q, %v", names, err)
	}
	for _, sender := range []clickid.Sender{ob, idle} {
		if _, err := sender.Send(ctx, order("A-1")); err != nil {
			t.Fatal(err)
		}
	}
	names, err := idle.Destinations(ctx)
	if err != nil || len(names) != 2 || !strings.HasPrefix(names[0], "clickid_") || names[1] != client.Name() {
		t.Fatalf("%q, %v", names, err)
	}
}
