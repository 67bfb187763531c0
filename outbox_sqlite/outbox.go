// Package sqliteoutbox delivers conversions durably with River on SQLite, in
// one process and without any server. It needs no cgo, and a 64-bit system:
// River's SQLite driver does not build for others.
//
//	ob, err := sqliteoutbox.OpenAndStart(ctx, "outbox.db", sqliteoutbox.Config{
//		Delivery: outbox.Config{Destination: client},
//	})
//	…
//	defer ob.Close()
//	_, err = clickid.Convert(ctx, ob, event)
//
// [Open] keeps the events in a file of the outbox's own: Send stores them
// durably, but not in the order's transaction. A shop that keeps its orders in
// SQLite hands its own pool to [New], and the event commits or rolls back with
// the order:
//
//	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{
//		Delivery: outbox.Config{Destination: client},
//	})
//	err = ob.Migrate(ctx)
//	err = ob.Start(ctx)
//	…
//	_, err = clickid.Convert(ctx, ob.In(tx), event)
//
// A shop with another database writes to the outbox table of package outbox and
// lets its relay feed this outbox.
//
// The file must be on a local disk. Several processes may store events in it,
// but one delivers: Start refuses a second one with [ErrDelivering]. The process
// that delivers holds an empty file beside it, with ".delivery.lock" behind its
// name.
package sqliteoutbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/gofrs/flock"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// ErrDelivering means that another process, or another outbox of this one,
// delivers from the same file.
var ErrDelivering = errors.New("sqliteoutbox: another outbox delivers from this SQLite file already; do not call Start where events are only stored")

// Outbox is an [outbox.Queue] on SQLite. It is safe for concurrent use.
type Outbox struct {
	river *riveroutbox.Outbox[*sql.Tx]
	db    *sql.DB
	own   bool // db is ours to close

	mu   sync.Mutex
	lock *flock.Flock // held while delivering; nil for a database in memory
}

var _ outbox.Queue = (*Outbox)(nil)

// Open opens the file, which it creates readable only for its owner, or returns
// every problem of cfg at once. Call Migrate and Start next; [OpenAndStart] does
// all three. Close closes the file.
//
// The file is written with synchronous=FULL: an event that Send has stored
// survives a power failure, as far as the disk honours a flush.
func Open(path string, cfg Config) (*Outbox, error) {
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	if cfg.Workers == 0 {
		cfg.Workers = ownWorkers
	}
	o, err := newOutbox(db, cfg)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	o.own = true
	return o, nil
}

// OpenAndStart opens the file, prepares its tables and begins to deliver. ctx
// bounds that, not the delivery. Close ends it.
func OpenAndStart(ctx context.Context, path string, cfg Config) (*Outbox, error) {
	o, err := Open(path, cfg)
	if err != nil {
		return nil, err
	}
	if err = o.Migrate(ctx); err == nil {
		err = o.Start(context.WithoutCancel(ctx))
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// New returns an outbox that keeps the events in the application's own SQLite
// database, so that In stores them in the order's transaction, or every problem
// of cfg at once. It makes no connection; call Migrate and Start next. Close and
// Stop leave db open.
//
// The outbox shares the pool, and only in a form in which no order fails with
// SQLITE_BUSY: either it has a single connection (SetMaxOpenConns(1)), or its
// transactions are immediate (_txlock=immediate in the data source name), in
// WAL mode and with a busy_timeout. Migrate and Start refuse anything else. The
// application must not use River itself in the same file.
func New(db *sql.DB, cfg Config) (*Outbox, error) {
	if db == nil {
		return nil, errors.New("sqliteoutbox: New needs the application's database; Open has a file of its own")
	}
	if cfg.Workers == 0 {
		cfg.Workers = sharedWorkers
	}
	return newOutbox(db, cfg)
}

func newOutbox(db *sql.DB, cfg Config) (*Outbox, error) {
	river, err := riveroutbox.New(riversqlite.New(db), cfg.river())
	if err != nil {
		return nil, err
	}
	return &Outbox{river: river, db: db}, nil
}

// Migrate creates the tables, whose names begin with "river_", or brings them
// up to date. It may run in several processes at once, on every start.
func (o *Outbox) Migrate(ctx context.Context) error {
	if err := o.check(ctx); err != nil {
		return err
	}
	return o.river.Migrate(ctx)
}

// check refuses a pool with which orders would fail.
func (o *Outbox) check(ctx context.Context) error {
	if o.own {
		return nil
	}
	return checkPool(ctx, o.db)
}

// Send stores the events in a transaction of its own. See [outbox.Outbox].
func (o *Outbox) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	return o.river.Send(ctx, events...)
}

// In returns a sender that stores events in tx, a transaction of the pool that
// was handed to [New]: they are sent once it commits, and never when it rolls
// back.
func (o *Outbox) In(tx *sql.Tx) clickid.Sender { return o.river.In(tx) }

// ResolvesTokens reports whether the clicks of tokens are looked up at
// delivery; see [clickid.Sender].
func (o *Outbox) ResolvesTokens() bool { return o.river.ResolvesTokens() }

// Enqueue stores the records in a transaction of its own. See
// [outbox.Enqueuer].
func (o *Outbox) Enqueue(ctx context.Context, records []outbox.Record) error {
	return o.river.Enqueue(ctx, records)
}

// Delivery implements [outbox.Queue].
func (o *Outbox) Delivery() *outbox.Delivery { return o.river.Delivery() }

// Start begins to deliver in the background, with what an earlier process left
// behind. See [outbox.Outbox]. The error matches [ErrDelivering] when another
// process delivers.
func (o *Outbox) Start(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.check(ctx); err != nil {
		return err
	}
	if o.lock == nil {
		path, err := filePath(ctx, o.db)
		if err != nil {
			return err
		}
		if path == "" {
			return o.river.Start(ctx)
		}
		o.lock = flock.New(path + ".delivery.lock")
	}
	if o.lock.Locked() {
		return o.river.Start(ctx)
	}
	locked, err := o.lock.TryLock()
	if err != nil {
		return fmt.Errorf("sqliteoutbox: locking the file for delivery: %w", err)
	}
	if !locked {
		return ErrDelivering
	}
	err = takeOver(ctx, o.db)
	if err == nil {
		err = o.river.Start(ctx)
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
	remaining, err = o.river.Stop(ctx)
	if o.lock != nil {
		err = errors.Join(err, o.lock.Unlock())
	}
	return remaining, err
}

// Close interrupts the delivery if Stop has not ended it, and closes the file
// that [Open] has opened. Nothing is lost.
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

// DeadLetters lists the dead letters, the latest first. See [outbox.Outbox].
func (o *Outbox) DeadLetters(ctx context.Context, page outbox.Page) ([]outbox.DeadLetter, error) {
	return o.river.DeadLetters(ctx, page)
}

// Replay queues dead letters again. See [outbox.Outbox].
func (o *Outbox) Replay(ctx context.Context, ids ...string) (int, error) {
	return o.river.Replay(ctx, ids...)
}

// Discard removes dead letters for good. See [outbox.Outbox].
func (o *Outbox) Discard(ctx context.Context, ids ...string) (int, error) {
	return o.river.Discard(ctx, ids...)
}

// Erase removes the events of a user or order. See [outbox.Outbox].
func (o *Outbox) Erase(ctx context.Context, k clickid.Key) (int, error) {
	return o.river.Erase(ctx, k)
}

// Stats measures the queue. See [outbox.Outbox].
func (o *Outbox) Stats(ctx context.Context) (outbox.Stats, error) { return o.river.Stats(ctx) }

// takeOver makes available again what an earlier process was sending when it
// died: one process delivers at a time, so no other does it, and River itself
// would wait for minutes. Jobs and leaders of the application's own are left as
// they are; Start refuses them later.
func takeOver(ctx context.Context, db *sql.DB) error {
	for _, statement := range []string{
		"UPDATE river_job SET state = 'available' WHERE state = 'running' AND kind = $1",
		"DELETE FROM river_leader WHERE NOT EXISTS (SELECT 1 FROM river_job WHERE kind <> $1)",
	} {
		if _, err := db.ExecContext(ctx, statement, riveroutbox.JobKind); err != nil {
			return fmt.Errorf("sqliteoutbox: taking over what an earlier process was sending (has Migrate run?): %w", err)
		}
	}
	return nil
}
