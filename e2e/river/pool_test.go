package river_test

import (
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// TestOutbox_Send_poolOfOne sends in a transaction that has the only connection.
func TestOutbox_Send_poolOfOne(t *testing.T) {
	t.Parallel()
	database := testserver.Postgres(t)
	cfg := riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}}
	newOutbox(t, newPool(t, database), cfg) // Migrate needs two connections
	settings, err := pgxpool.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	settings.MaxConns = 1
	ctx := within(t, time.Minute)
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	ob, err := riveroutbox.New(riverpgxv5.New(pool), cfg)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	result, err := clickid.Convert(ctx, ob, conversion("order"), clickid.ConvertTimeout(4*time.Second))
	if err == nil || result.Verdict != clickid.VerdictFailed || !strings.Contains(err.Error(), "use In(tx)") {
		t.Fatalf("Convert: %v, %v", result.Verdict, err)
	}
	// The order's transaction is intact.
	if _, err := clickid.Convert(ctx, ob.In(tx), conversion("order")); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if stats, err := ob.Stats(ctx); err != nil || stats.Queued != 1 {
		t.Fatalf("%d events are queued, %v", stats.Queued, err)
	}
}
