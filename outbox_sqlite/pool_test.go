package sqliteoutbox_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// TestOutbox_Send_poolOfOne sends in a transaction that has the only connection.
func TestOutbox_Send_poolOfOne(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	ob, err := newIdle(ctx, db, sqliteoutbox.Config{Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := clickid.Convert(ctx, ob, order("order"))
	if err == nil || result.Verdict != clickid.VerdictFailed || !strings.Contains(err.Error(), "use In(tx)") {
		t.Fatalf("Convert: %v, %v", result.Verdict, err)
	}
	// The order's transaction is intact.
	if _, err := clickid.Convert(ctx, ob.In(tx), order("order")); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if stats, err := ob.Stats(ctx); err != nil || stats.Queued != 1 {
		t.Fatalf("%d events are queued, %v", stats.Queued, err)
	}
}
