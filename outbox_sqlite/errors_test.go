package sqliteoutbox_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// TestErrors_prefix makes each call fail. The error names this package, not the one
// that implements it, and holds its cause.
func TestErrors_prefix(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	db := openShop(t, "file:"+filepath.Join(t.TempDir(), "shop.db"))
	db.SetMaxOpenConns(1)
	client := newClient(t, clickidtest.NewServer(t))
	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{Delivery: outbox.Config{Destination: client}})
	if err != nil {
		t.Fatal(err)
	}
	_, invalid := sqliteoutbox.New(db, sqliteoutbox.Config{Workers: -1, KeepDeadLetters: -1, Delivery: outbox.Config{Destination: client}})
	check := func(name string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", name)
			return
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			if !strings.HasPrefix(line, "sqliteoutbox: ") || strings.Contains(line, "riveroutbox") || strings.Count(line, "sqliteoutbox: ") != 1 {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
	check("New", invalid)

	// The tables are missing.
	_, err = ob.Send(ctx, order("A"))
	check("Send", err)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := ob.In(tx).Send(ctx, order("A"))
	check("In", err)
	check("In, its result", report.Results[0].Err)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	_, err = ob.Stats(ctx)
	check("Stats", err)
	_, err = ob.Find(ctx, "A")
	check("Find", err)
	_, err = ob.DeadLetters(ctx, outbox.Page{})
	check("DeadLetters", err)
	_, err = ob.Replay(ctx)
	check("Replay", err)
	_, err = ob.Discard(ctx, "1")
	check("Discard", err)
	_, err = ob.Erase(ctx, clickid.OrderKey("A"))
	check("Erase", err)
	_, err = ob.DeliveredByHour(ctx, time.Now().Add(-time.Hour), time.Now())
	check("DeliveredByHour", err)
	_, err = ob.Drain(ctx)
	check("Drain", err)
	check("Start", ob.Start(ctx))

	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := ob.Migrate(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Migrate: %v", err)
	} else {
		check("Migrate", err)
	}
	if err := ob.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO river_job (kind) VALUES ('receipt')"); err != nil {
		t.Fatal(err)
	}
	err = ob.Start(ctx)
	check("Start", err)
	if !errors.Is(err, riveroutbox.ErrForeignJobs) {
		t.Errorf("Start: %v", err)
	}
}

// TestLogger_prefix makes the outbox warn of events of another destination.
func TestLogger_prefix(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	path := filepath.Join(t.TempDir(), "outbox.db")
	platform := clickidtest.NewServer(t)
	var logged bytes.Buffer
	for _, shop := range []string{"one", "another"} {
		client, err := capi.New(capi.Config{APIKey: clickidtest.APIKey, BaseURL: platform.URL, Dialect: capi.LogEvent{EventSourceID: shop}})
		if err != nil {
			t.Fatal(err)
		}
		ob, err := openIdle(ctx, path, sqliteoutbox.Config{Delivery: outbox.Config{
			Destination: client, Logger: slog.New(slog.NewTextHandler(&logged, nil).WithGroup("shop")).With("name", shop),
		}})
		if err != nil {
			t.Fatal(err)
		}
		if shop == "one" {
			_, err = ob.Send(ctx, order("A"))
		} else {
			_, err = ob.Drain(ctx)
		}
		if err = errors.Join(err, ob.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if text := logged.String(); !strings.Contains(text, `msg="sqliteoutbox: events wait for another destination`) || strings.Contains(text, "riveroutbox") {
		t.Errorf("the log is\n%s", text)
	}
}
