// Package sqliteoutbox delivers conversions durably with River on SQLite, in
// one process and without any server. It needs no cgo, and a 64-bit system:
// River's SQLite driver does not build for others.
//
//	ob, err := sqliteoutbox.Open(ctx, "outbox.db", sqliteoutbox.Config{
//		Delivery: outbox.Config{Client: client},
//	})
//	…
//	defer ob.Close()
//	_, err = clickid.Convert(ctx, ob, event)
//
// Open keeps the events in a file of the outbox's own: Send stores them
// durably, but not in the order's transaction. A shop that keeps its orders in
// SQLite hands its own pool to [New], and the event commits or rolls back with
// the order. A shop with another database writes to the outbox table of package
// outbox and lets its relay feed this outbox.
//
// The file must be on a local disk. Several processes may store events in it,
// but one delivers: Start refuses a second one with [ErrDelivering]. An empty
// file beside it, with ".delivery.lock" behind its name, tells who does.
package sqliteoutbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/gofrs/flock"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// ErrDelivering says that another process, or another outbox of this one,
// delivers from the same file.
var ErrDelivering = errors.New("clickid: another outbox delivers from this SQLite file already; set StartLater where events are only stored")

// Outbox is an [outbox.Outbox] and an [outbox.Queue] on SQLite. It is safe for
// concurrent use. Its In method takes a *sql.Tx of the pool that was handed to
// [New].
type Outbox struct {
	*riveroutbox.Outbox[*sql.Tx]
	db  *sql.DB
	own bool // db is ours to close

	mu   sync.Mutex
	lock *flock.Flock // held while delivering; nil for a database in memory
}

var (
	_ outbox.Outbox = (*Outbox)(nil)
	_ outbox.Queue  = (*Outbox)(nil)
)

// Open opens the file, which it creates readable for its owner alone, prepares
// its tables and begins to deliver, unless StartLater is set. ctx bounds the
// opening, not the delivery. Close ends it.
//
// The file is written with synchronous=FULL: what Send has acknowledged
// survives a power failure, as far as the disk tells the truth.
func Open(ctx context.Context, path string, cfg Config) (*Outbox, error) {
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	if cfg.Workers == 0 {
		cfg.Workers = ownWorkers
	}
	o, err := newOutbox(ctx, db, cfg)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	o.own = true
	return o, nil
}

// New keeps the events in the application's own SQLite database, so that they
// are stored in the order's transaction with In. It prepares its tables, whose
// names begin with "river_", and begins to deliver, unless StartLater is set.
// ctx bounds that, not the delivery. Close or Stop ends it; both leave db open.
//
// The outbox shares the pool, and only in a form in which no order fails with
// SQLITE_BUSY: either it has a single connection (SetMaxOpenConns(1)), or its
// transactions are immediate (_txlock=immediate in the data source name), in
// WAL mode and with a busy_timeout. New refuses anything else. The application
// must not use River itself in the same file.
func New(ctx context.Context, db *sql.DB, cfg Config) (*Outbox, error) {
	if db == nil {
		return nil, errors.New("clickid: New needs the application's database")
	}
	if err := checkPool(ctx, db); err != nil {
		return nil, err
	}
	if cfg.Workers == 0 {
		cfg.Workers = sharedWorkers
	}
	return newOutbox(ctx, db, cfg)
}

func newOutbox(ctx context.Context, db *sql.DB, cfg Config) (*Outbox, error) {
	river, err := riveroutbox.New(riversqlite.New(db), cfg.river())
	if err != nil {
		return nil, err
	}
	if err := river.Migrate(ctx); err != nil {
		return nil, err
	}
	o := &Outbox{Outbox: river, db: db}
	path, err := filePath(ctx, db)
	if err != nil {
		return nil, err
	}
	if path != "" {
		o.lock = flock.New(path + ".delivery.lock")
	}
	if cfg.StartLater {
		return o, nil
	}
	if err := o.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return o, nil
}

// Start begins to deliver in the background, with what an earlier process left
// behind. See [outbox.Outbox]. The error matches [ErrDelivering] when another
// process delivers.
func (o *Outbox) Start(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lock == nil || o.lock.Locked() {
		return o.Outbox.Start(ctx)
	}
	locked, err := o.lock.TryLock()
	if err != nil {
		return fmt.Errorf("clickid: locking the SQLite outbox for delivery: %w", err)
	}
	if !locked {
		return ErrDelivering
	}
	err = takeOver(ctx, o.db)
	if err == nil {
		err = o.Outbox.Start(ctx)
	}
	if err != nil {
		return errors.Join(err, o.lock.Unlock())
	}
	return nil
}

// Stop ends the delivery. See [outbox.Outbox].
func (o *Outbox) Stop(ctx context.Context) (remaining int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	remaining, err = o.Outbox.Stop(ctx)
	if o.lock != nil {
		err = errors.Join(err, o.lock.Unlock())
	}
	return remaining, err
}

// Close interrupts the delivery if Stop has not ended it, and closes the file
// that Open has opened. Nothing is lost.
func (o *Outbox) Close() error {
	at, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := o.Stop(at)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if o.own {
		err = errors.Join(err, o.db.Close())
	}
	return err
}

// takeOver makes available again what an earlier process was sending when it
// died: since one process delivers at a time, nobody else does it. River alone
// would wait for minutes. Jobs and leaders of the application's own are left
// alone; Start refuses them later.
func takeOver(ctx context.Context, db *sql.DB) error {
	for _, statement := range []string{
		"UPDATE river_job SET state = 'available' WHERE state = 'running' AND kind = $1",
		"DELETE FROM river_leader WHERE NOT EXISTS (SELECT 1 FROM river_job WHERE kind <> $1)",
	} {
		if _, err := db.ExecContext(ctx, statement, riveroutbox.JobKind); err != nil {
			return fmt.Errorf("clickid: taking over the SQLite outbox: %w", err)
		}
	}
	return nil
}
