package sqliteoutbox_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// holding is a destination that holds its first request until its context ends.
type holding struct {
	outbox.Destination
	began chan struct{} // closed when the request begins
	until <-chan struct{}
}

func (h holding) Deliver(ctx context.Context, _ []outbox.Item) (clickid.Report, error) {
	close(h.began)
	until := h.until
	if until == nil {
		until = ctx.Done()
	}
	<-until
	return clickid.Report{}, context.Canceled
}

// openHolding opens an outbox with an event whose request is in progress.
func openHolding(t *testing.T, path string, until <-chan struct{}) (*sqliteoutbox.Outbox, outbox.Destination) {
	t.Helper()
	ctx := patience(t)
	accepting := newClient(t, clickidtest.NewServer(t))
	h := holding{Destination: accepting, began: make(chan struct{}), until: until}
	ob, err := sqliteoutbox.OpenAndStart(ctx, path, sqliteoutbox.Config{Delivery: outbox.Config{Destination: h}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ob.Send(ctx, order("A-1")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-h.began:
	case <-ctx.Done():
		t.Fatal("no request began")
	}
	return ob, accepting
}

// TestOutbox_Close_interrupts closes an outbox during a request. The next start
// delivers the event.
func TestOutbox_Close_interrupts(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	path := filepath.Join(t.TempDir(), "outbox.db")
	ob, accepting := openHolding(t, path, nil)
	if err := ob.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ob.Send(ctx, order("A-2")); err == nil {
		t.Error("Send after Close returns no error")
	}
	if err := ob.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	next, err := sqliteoutbox.Open(path, sqliteoutbox.Config{Delivery: outbox.Config{Destination: accepting}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Close() })
	entries, err := next.Find(ctx, "A-1")
	if err != nil || len(entries) != 1 || entries[0].State != outbox.StateQueued || len(entries[0].Attempts) != 0 {
		t.Errorf("after Close: %+v, %v", entries, err)
	}
	if drained, err := next.Drain(ctx); err != nil || drained.Remaining != 0 {
		t.Errorf("Drain: %+v, %v", drained, err)
	}
	if stats, err := next.Stats(ctx); err != nil || stats.Delivered != 1 {
		t.Errorf("%+v, %v: want one delivered event", stats, err)
	}
}

// TestOutbox_Close_ignoredContext closes an outbox whose destination ignores its
// context.
func TestOutbox_Close_ignoredContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	ob, _ := openHolding(t, filepath.Join(t.TempDir(), "outbox.db"), release)
	defer close(release)
	if err := ob.Close(); err == nil {
		t.Error("Close returns no error while a delivery goes on")
	}
}

// TestOutbox_Close_beforeMigrate closes an outbox whose file has no tables.
func TestOutbox_Close_beforeMigrate(t *testing.T) {
	t.Parallel()
	ob, err := sqliteoutbox.Open(filepath.Join(t.TempDir(), "outbox.db"), sqliteoutbox.Config{
		Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ob.Close(); err != nil {
		t.Error(err)
	}
}
