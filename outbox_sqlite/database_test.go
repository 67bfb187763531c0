package sqliteoutbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

func TestOpen_path(t *testing.T) {
	t.Parallel()
	cfg := sqliteoutbox.Config{Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}}
	for path, reason := range map[string]string{
		"":                           "database in memory",
		":memory:":                   "database in memory",
		"file::memory:?cache=shared": "database in memory",
		"file:outbox.db?mode=rw":     "without \"file:\" and options",
		filepath.Join(t.TempDir(), "missing", "x.db"): "no such file",
		t.TempDir(): "directory",
	} {
		ob, err := sqliteoutbox.OpenAndStart(context.Background(), path, cfg)
		if err == nil || ob != nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, err := sqliteoutbox.OpenAndStart(context.Background(), filepath.Join(t.TempDir(), "x.db"), sqliteoutbox.Config{}); err == nil {
		t.Error("an outbox without a client was opened")
	}
}

func TestOpen_specialCharacters(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "100%25 of the shop's orders? #1.db")
	ob, err := sqliteoutbox.OpenAndStart(patience(t), path, sqliteoutbox.Config{
		Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ob.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		t.Fatalf("the outbox is elsewhere: %v, %v", info, err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v", info.Mode())
	}
}

// TestNew_pool checks that a pool with which orders could fail is refused with
// all its problems.
func TestNew_pool(t *testing.T) {
	t.Parallel()
	cfg := sqliteoutbox.Config{Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}}
	for _, row := range []struct {
		options  string
		problems []string
	}{
		{"", []string{"WAL", "busy_timeout", "immediate"}},
		{"_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)", []string{"immediate"}},
		{"_txlock=deferred&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)", []string{"immediate"}},
		{"_txlock=immediate&_pragma=busy_timeout(5000)", []string{"WAL"}},
		{"_txlock=immediate&_pragma=journal_mode(WAL)", []string{"busy_timeout"}},
		{"_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)", nil},
	} {
		db := openShop(t, "file:"+filepath.Join(t.TempDir(), "shop.db")+"?"+row.options)
		ob, err := newStarted(patience(t), db, cfg)
		if (err == nil) != (len(row.problems) == 0) {
			t.Errorf("%s: %v", row.options, err)
		}
		if ob != nil {
			if err := ob.Close(); err != nil {
				t.Error(err)
			}
		}
		if err != nil {
			lines := strings.Split(err.Error(), "\n")
			for i, problem := range row.problems {
				if len(lines) != len(row.problems) || !strings.Contains(lines[i], problem) {
					t.Errorf("%s: not about %s: %q", row.options, problem, lines)
				}
			}
		}
	}
	if _, err := sqliteoutbox.New(nil, cfg); err == nil {
		t.Error("every pool was refused")
	}
}

// TestNew_ordersDuringDelivery places orders in transactions that read before
// they write, on the pool of the outbox, while it delivers.
func TestNew_ordersDuringDelivery(t *testing.T) {
	t.Parallel()
	const tills, orders = 8, 50
	for name, open := range shopPools {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			platform := clickidtest.NewServer(t)
			db := open(t, filepath.Join(t.TempDir(), "shop.db"))
			for _, statement := range []string{
				"CREATE TABLE stock (pieces integer)", "INSERT INTO stock VALUES (100000)", "CREATE TABLE orders (id text PRIMARY KEY)",
			} {
				if _, err := db.ExecContext(ctx, statement); err != nil {
					t.Fatal(err)
				}
			}
			ob, err := newStarted(ctx, db, sqliteoutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = ob.Close() })
			var group sync.WaitGroup
			failures := make([]error, tills)
			for till := range tills {
				group.Add(1)
				go func() {
					defer group.Done()
					for n := range orders {
						if err := placeOrder(ctx, db, ob, fmt.Sprintf("%d-%d", till, n)); err != nil {
							failures[till] = errors.Join(failures[till], err)
						}
					}
				}()
			}
			group.Wait()
			if err := errors.Join(failures...); err != nil {
				t.Fatalf("orders failed: %v", err)
			}
			if accepted, err := platform.Wait(ctx, tills*orders); err != nil || len(accepted) != tills*orders {
				t.Fatalf("%d events arrived: %v", len(accepted), err)
			}
			var pieces int
			if err := db.QueryRowContext(ctx, "SELECT pieces FROM stock").Scan(&pieces); err != nil || pieces != 100000-tills*orders {
				t.Errorf("the stock is %d: %v", pieces, err)
			}
		})
	}
}

// placeOrder reads and then writes in a transaction.
func placeOrder(ctx context.Context, db *sql.DB, ob *sqliteoutbox.Outbox, id string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var pieces int
	if err := tx.QueryRowContext(ctx, "SELECT pieces FROM stock").Scan(&pieces); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE stock SET pieces = ?", pieces-1); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id); err != nil {
		return err
	}
	if _, err := clickid.Convert(ctx, ob.In(tx), order(id)); err != nil {
		return err
	}
	return tx.Commit()
}

// TestIn_fullDisk checks that an order gets the error of a full disk and that
// neither the order nor its conversion is stored.
func TestIn_fullDisk(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	platform := clickidtest.NewServer(t)
	db := shopPools["one connection"](t, filepath.Join(t.TempDir(), "shop.db"))
	for _, statement := range []string{
		"CREATE TABLE stock (pieces integer)", "INSERT INTO stock VALUES (100000)", "CREATE TABLE orders (id text PRIMARY KEY)",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	ob, err := newIdle(ctx, db, sqliteoutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ob.Close() })
	var pages int
	if err := db.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages+5)); err != nil {
		t.Fatal(err)
	}
	placed := 0
	for ; ; placed++ {
		if placed > 1000 {
			t.Fatal("the disk does not fill up")
		}
		if err = placeOrder(ctx, db, ob, fmt.Sprint(placed)); err != nil {
			break
		}
	}
	if !strings.Contains(err.Error(), "full") {
		t.Errorf("the order's error has no reason: %v", err)
	}
	if placed == 0 {
		t.Fatal("no order found room")
	}
	if report, err := ob.Send(ctx, order("single")); err == nil || report.Accepted() {
		t.Errorf("Send on a full disk: %+v, %v", report, err)
	}
	for _, table := range []string{"orders", "river_job"} {
		var rows int
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&rows); err != nil || rows != placed {
			t.Errorf("%d rows in %s for %d orders: %v", rows, table, placed, err)
		}
	}
	// Make room again.
	if _, err := db.ExecContext(ctx, "PRAGMA max_page_count = 100000"); err != nil {
		t.Fatal(err)
	}
	if err := ob.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Wait(ctx, placed); err != nil {
		t.Fatal(err)
	}
}

func TestIn_readOnlyFile(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	platform := clickidtest.NewServer(t)
	path := filepath.Join(t.TempDir(), "shop.db")
	cfg := sqliteoutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}}
	writable := shopPools["one connection"](t, path)
	for _, statement := range []string{
		"CREATE TABLE stock (pieces integer)", "INSERT INTO stock VALUES (100000)", "CREATE TABLE orders (id text PRIMARY KEY)",
	} {
		if _, err := writable.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := newIdle(ctx, writable, cfg); err != nil {
		t.Fatal(err)
	}
	db := openShop(t, "file:"+path+"?mode=ro")
	db.SetMaxOpenConns(1)
	ob, err := newIdle(ctx, db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := placeOrder(ctx, db, ob, "A"); err == nil {
		t.Error("an order was stored in a read-only file")
	}
	if report, err := ob.Send(ctx, order("A")); err == nil || report.Accepted() {
		t.Errorf("Send: %+v, %v", report, err)
	}
	if err := ob.Start(ctx); err == nil {
		t.Error("Start accepts a read-only file, in which it cannot store outcomes")
	}
	if remaining, err := ob.Stop(ctx); remaining != 0 || err != nil {
		t.Errorf("Stop: %d, %v", remaining, err)
	}
}

// TestStart_secondProcess has one outbox that delivers from a file and others
// that store events in it.
func TestStart_secondProcess(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	platform := clickidtest.NewServer(t)
	path := filepath.Join(t.TempDir(), "outbox.db")
	cfg := sqliteoutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}}
	first, err := sqliteoutbox.OpenAndStart(ctx, path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqliteoutbox.OpenAndStart(ctx, path, cfg); !errors.Is(err, sqliteoutbox.ErrDelivering) {
		t.Fatalf("a second one delivers: %v", err)
	}
	second, err := openIdle(ctx, path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Close() })
	if _, err := second.Send(ctx, order("A-1")); err != nil {
		t.Fatal(err)
	}
	if _, err := platform.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(ctx); !errors.Is(err, sqliteoutbox.ErrDelivering) {
		t.Fatalf("both deliver: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Send(ctx, order("A-1"), order("A-2")); err != nil {
		t.Fatal(err)
	}
	if accepted, err := platform.Wait(ctx, 2); err != nil || len(accepted) != 2 {
		t.Fatalf("%d events arrived: %v", len(accepted), err)
	}
}

func TestStart_foreignJobs(t *testing.T) {
	t.Parallel()
	ctx := patience(t)
	db := shopPools["one connection"](t, filepath.Join(t.TempDir(), "shop.db"))
	cfg := sqliteoutbox.Config{Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}}
	ob, err := newIdle(ctx, db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO river_job (kind) VALUES ('receipt')"); err != nil {
		t.Fatal(err)
	}
	if err := ob.Start(ctx); !errors.Is(err, riveroutbox.ErrForeignJobs) {
		t.Fatalf("Start: %v", err)
	}
}

// TestMigrate_concurrent migrates from several instances at the same time.
func TestMigrate_concurrent(t *testing.T) {
	t.Parallel()
	const instances = 4
	path := filepath.Join(t.TempDir(), "outbox.db")
	cfg := sqliteoutbox.Config{Delivery: outbox.Config{Destination: newClient(t, clickidtest.NewServer(t))}}
	failures := make([]error, instances)
	var group sync.WaitGroup
	for i := range instances {
		group.Add(1)
		go func() {
			defer group.Done()
			ob, err := openIdle(patience(t), path, cfg)
			if err == nil {
				err = ob.Close()
			}
			failures[i] = err
		}()
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
}
