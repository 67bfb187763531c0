package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/sqldb"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	sqlstore "github.com/clickid/clickid/store_sql"
	_ "modernc.org/sqlite" // the shop's database, without cgo
)

// shopPlan is the part of the shop that outlives its restart.
type shopPlan struct {
	url      string
	provider string // URL of the payment provider
	secret   []byte // shared with it
	database string // SQLite file
	dialect  Dialect
	client   *http.Client
	pages    *pages
	platform string // URL of the ad platform
	log      *slog.Logger
}

// shop is the site that uses the library. Its tracker captures clicks, and its
// outbox sends the conversions of its orders.
type shop struct {
	*shopPlan
	db      *sql.DB
	tracker *clickid.Tracker
	outbox  *sqliteoutbox.Outbox
}

// openShop opens the database with the orders, the clicks and the outbox.
func openShop(ctx context.Context, plan *shopPlan) (_ *shop, err error) {
	s := &shop{shopPlan: plan}
	defer func() {
		if err != nil {
			_, closeErr := s.close(ctx)
			err = errors.Join(err, closeErr)
		}
	}()
	if s.db, err = openDatabase(ctx, plan.database); err != nil {
		return nil, err
	}
	if s.tracker, err = s.newTracker(ctx); err != nil {
		return nil, err
	}
	client, err := capi.New(capi.Config{
		APIKey:   clickidtest.APIKey,
		BaseURL:  plan.platform,
		Dialect:  plan.dialect.configured(),
		Resolver: s.tracker,
	})
	if err != nil {
		return nil, err
	}
	// The default waits of up to minutes are too long to watch.
	s.outbox, err = sqliteoutbox.New(s.db, sqliteoutbox.Config{
		Delivery: outbox.Config{Destination: client, Logger: plan.log, MinSnooze: shortSnooze, MaxSnooze: shortSnooze},
		Workers:  10,
	})
	if err != nil {
		return nil, err
	}
	if err := s.outbox.Migrate(ctx); err != nil {
		return nil, err
	}
	if err := s.outbox.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return s, nil
}

const shortSnooze = 200 * time.Millisecond

// openDatabase opens the shop's SQLite file with the options that an outbox in a
// shared database needs, and creates the table of orders.
func openDatabase(ctx context.Context, file string) (*sql.DB, error) {
	if err := sqldb.CreateSQLiteFile(file); err != nil {
		return nil, fmt.Errorf("demo: the shop's database cannot be written; choose another file with -db: %w", err)
	}
	options := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", sqldb.SQLiteSource(file, options))
	if err != nil {
		return nil, fmt.Errorf("demo: opening the shop's database: %w", err)
	}
	if _, err := db.ExecContext(ctx, ordersSchema); err != nil {
		return nil, fmt.Errorf("demo: %s is not a usable database; choose another file with -db: %w", file, errors.Join(err, db.Close()))
	}
	return db, nil
}

// newTracker returns a tracker that keeps clicks in the shop's database.
func (s *shop) newTracker(ctx context.Context) (*clickid.Tracker, error) {
	store, err := sqlstore.New(sqlstore.Config{DB: s.db, Database: sqlstore.DatabaseSQLite})
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx, s.db); err != nil {
		return nil, err
	}
	return clickid.New(clickid.Config{
		Store: store,
		// The shop has no TLS.
		Cookie: clickid.Cookie{Insecure: true},
		// Longer than in a real shop, where a page would not wait that long: no
		// click of the demo gets lost on a busy machine.
		StoreTimeout: time.Minute,
		Logger:       s.log,
	})
}

// close closes the outbox and the database. It returns the number of conversions
// that remain in the outbox.
func (s *shop) close(ctx context.Context) (remaining int, err error) {
	var failures []error
	if s.outbox != nil {
		remaining, err = s.outbox.Stop(ctx)
		failures = append(failures, err)
	}
	if s.db != nil {
		failures = append(failures, s.db.Close())
	}
	return remaining, errors.Join(failures...)
}
