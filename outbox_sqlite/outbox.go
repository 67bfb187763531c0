// Package sqliteoutbox implements an outbox on River and SQLite, in one process
// and without a server. It needs no cgo, but a 64-bit system: River's SQLite
// driver does not build on others.
//
//	ob, err := sqliteoutbox.OpenAndStart(ctx, "outbox.db", sqliteoutbox.Config{
//		Delivery: outbox.Config{Destination: client},
//	})
//	…
//	defer ob.Close()
//	_, err = clickid.Convert(ctx, ob, event)
//	…
//	_, err = ob.Stop(ctx) // waits for the requests in progress
//
// With [Open] the events are in a separate file: Send stores them durably, but
// not in the order's transaction. A shop with its orders in SQLite passes its
// pool to [New], and the event commits or rolls back with the order:
//
//	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{
//		Delivery: outbox.Config{Destination: client},
//	})
//	err = ob.Migrate(ctx)
//	err = ob.Start(ctx)
//	…
//	_, err = clickid.Convert(ctx, ob.In(tx), event)
//
// A shop with another database writes to the outbox table of package outbox,
// whose relay feeds this outbox.
//
// The file must be on a local disk. Several processes may store events in it,
// but only one delivers: Start returns [ErrDelivering] in the others. The
// delivering process locks an empty file beside it with the suffix
// ".delivery.lock".
package sqliteoutbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/batch"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/gofrs/flock"
)

// ErrDelivering means that another outbox, of this process or another, delivers
// from the same file.
var ErrDelivering = errors.New("sqliteoutbox: another outbox delivers from this SQLite file; call Start in one process only")

// Outbox is an [outbox.Queue] on SQLite. It is safe for concurrent use.
type Outbox struct {
	river *riveroutbox.Outbox[*sql.Tx]
	db    *sql.DB
	own   bool // Close closes db

	groups *batch.Collector[*enqueueing]

	mu   sync.Mutex
	lock *flock.Flock // held during the delivery; nil for a database in memory
}

var (
	_ outbox.Queue   = (*Outbox)(nil)
	_ outbox.Drainer = (*Outbox)(nil)
)

// Open opens a file for the outbox. It creates the file with permissions for
// its owner only. The error joins all problems of cfg. Call Migrate and Start
// next, or use [OpenAndStart]. Close closes the file.
//
// Open sets synchronous=FULL: an event that Send has stored survives a power
// failure if the disk honors flushes.
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

// OpenAndStart opens the file, migrates it and starts the delivery. ctx limits
// these steps but not the delivery. Close ends the delivery.
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

// New returns an outbox in the application's SQLite database. In stores events
// in the order's transaction. The error joins all problems of cfg. New makes no
// connection; call Migrate and Start next. Close and Stop do not close db.
//
// Migrate and Start refuse a pool with which orders could fail with
// SQLITE_BUSY. The pool must have a single connection (SetMaxOpenConns(1)), or
// begin immediate transactions (_txlock=immediate in the data source name), in
// WAL mode and with a busy_timeout. The application must not use River in the
// same file.
func New(db *sql.DB, cfg Config) (*Outbox, error) {
	if db == nil {
		return nil, errors.New("sqliteoutbox: New requires a database; use Open for a separate file")
	}
	if cfg.Workers == 0 {
		cfg.Workers = sharedWorkers
	}
	return newOutbox(db, cfg)
}

func newOutbox(db *sql.DB, cfg Config) (*Outbox, error) {
	river, err := riveroutbox.New(newPrepared(db), cfg.river())
	if err != nil {
		return nil, own(err)
	}
	o := &Outbox{river: river, db: db}
	o.groups = o.newGroups()
	return o, nil
}

// Migrate creates or updates the tables. Their names begin with "river_".
// Several processes may call it at the same time, on every start.
func (o *Outbox) Migrate(ctx context.Context) error {
	if err := o.check(ctx); err != nil {
		return err
	}
	return own(o.river.Migrate(ctx))
}

// check returns an error for a pool with which orders would fail.
func (o *Outbox) check(ctx context.Context) error {
	if o.own {
		return nil
	}
	return checkPool(ctx, o.db)
}

// Send stores the events in a new transaction. See [outbox.Outbox].
func (o *Outbox) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	return o.river.Delivery().Sender(o).Send(ctx, events...)
}

// In returns a sender that stores events in tx, a transaction of the pool that
// was passed to [New], or of another pool on the same file, which is slower. They
// are sent after tx commits, and not sent if it rolls back.
func (o *Outbox) In(tx *sql.Tx) clickid.Sender { return sender{o.river.In(tx), o} }

// ResolvesTokens reports whether the clicks of tokens are resolved at delivery;
// see [clickid.Sender].
func (o *Outbox) ResolvesTokens() bool { return o.river.ResolvesTokens() }

// Enqueue stores the records in a transaction of its own. See
// [outbox.Enqueuer].
func (o *Outbox) Enqueue(ctx context.Context, records []outbox.Record) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	e := &enqueueing{ctx: ctx, records: records}
	if err := o.groups.Do(ctx, []*enqueueing{e})[0]; err != nil {
		return nil, fmt.Errorf("sqliteoutbox: storing events: %w", err)
	}
	return e.known, e.err
}

// Delivery implements [outbox.Queue].
func (o *Outbox) Delivery() *outbox.Delivery { return o.river.Delivery() }

// Start starts the delivery in the background, including events that an earlier
// process has left. See [outbox.Outbox]. The error matches [ErrDelivering] if
// another process delivers.
func (o *Outbox) Start(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.check(ctx); err != nil {
		return err
	}
	return o.exclusively(ctx, func() error { return own(o.river.Start(ctx)) })
}

// exclusively calls deliver while it holds the lock on the delivery, and keeps the lock
// if deliver succeeds.
func (o *Outbox) exclusively(ctx context.Context, deliver func() error) error {
	if o.lock == nil {
		path, err := filePath(ctx, o.db)
		if err != nil {
			return err
		}
		if path == "" {
			return deliver()
		}
		o.lock = flock.New(path + ".delivery.lock")
	}
	if o.lock.Locked() {
		return deliver()
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
		err = deliver()
	}
	if err != nil {
		return errors.Join(err, o.lock.Unlock())
	}
	return nil
}

// Drain delivers the events that are due, including those that an earlier process
// was sending when it died. See [outbox.Drainer]. The error matches
// [ErrDelivering] if another process delivers.
func (o *Outbox) Drain(ctx context.Context) (drained outbox.Drained, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.check(ctx); err != nil {
		return outbox.Drained{}, err
	}
	started := o.lock != nil && o.lock.Locked()
	err = o.exclusively(ctx, func() (err error) {
		drained, err = owned(o.river.Drain(ctx))
		return err
	})
	if err == nil && !started && o.lock != nil {
		err = o.lock.Unlock()
	}
	return drained, err
}

// Stop ends the delivery. See [outbox.Outbox].
func (o *Outbox) Stop(ctx context.Context) (remaining int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	remaining, err = owned(o.river.Stop(ctx))
	if o.lock != nil {
		err = errors.Join(err, o.lock.Unlock())
	}
	return remaining, err
}

// Close ends the delivery at once and closes the file that [Open] has opened. Like
// http.Server.Close, it interrupts the requests in progress. Stop waits for them, so
// call Stop before Close at a shutdown. No event is lost: the next start delivers
// the rest, and repeats an interrupted request with its idempotency key.
//
// Close returns an error if a delivery has not ended after 5 seconds, such as one of
// a destination that ignores its context. Send returns an error after Close of a
// file.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := own(o.river.Close())
	if o.lock != nil {
		err = errors.Join(err, o.lock.Unlock())
	}
	if o.own {
		err = errors.Join(err, o.db.Close())
	}
	return err
}

// DeliveredByHour implements [outbox.HourCounter].
func (o *Outbox) DeliveredByHour(ctx context.Context, from, to time.Time) ([]outbox.HourCount, error) {
	return owned(o.river.DeliveredByHour(ctx, from, to))
}

// Destinations returns the names of the destinations whose events are in the outbox.
// See [riveroutbox.Outbox.Destinations].
func (o *Outbox) Destinations(ctx context.Context) ([]string, error) {
	return owned(o.river.Destinations(ctx))
}

// DeadLetters lists the dead letters, the latest first. See [outbox.Outbox].
func (o *Outbox) DeadLetters(ctx context.Context, page outbox.Page) ([]outbox.DeadLetter, error) {
	return owned(o.river.DeadLetters(ctx, page))
}

// Replay queues dead letters again. See [outbox.Outbox].
func (o *Outbox) Replay(ctx context.Context, ids ...string) (int, error) {
	return owned(o.river.Replay(ctx, ids...))
}

// Discard deletes dead letters. See [outbox.Outbox].
func (o *Outbox) Discard(ctx context.Context, ids ...string) (int, error) {
	return owned(o.river.Discard(ctx, ids...))
}

// Find returns the state of the events with an ID. See [outbox.Outbox].
func (o *Outbox) Find(ctx context.Context, eventID string, types ...clickid.EventType) ([]outbox.Entry, error) {
	return owned(o.river.Find(ctx, eventID, types...))
}

// Erase erases the events of a user or order. See [outbox.Outbox].
func (o *Outbox) Erase(ctx context.Context, k clickid.Key) (int, error) {
	return owned(o.river.Erase(ctx, k))
}

// Stats counts the events. See [outbox.Outbox].
func (o *Outbox) Stats(ctx context.Context) (outbox.Stats, error) { return owned(o.river.Stats(ctx)) }

// takeOver makes the events available that an earlier process was sending when
// it died. Only one process delivers at a time, and River would wait for
// minutes. It does not change jobs of the application; Start refuses them
// later.
func takeOver(ctx context.Context, db *sql.DB) error {
	for _, statement := range []string{
		"UPDATE river_job SET state = 'available' WHERE state = 'running' AND kind = $1",
		"DELETE FROM river_leader WHERE NOT EXISTS (SELECT 1 FROM river_job WHERE kind <> $1)",
	} {
		if _, err := db.ExecContext(ctx, statement, riveroutbox.JobKind); err != nil {
			return fmt.Errorf("sqliteoutbox: taking over the events of an earlier process (has Migrate run?): %w", err)
		}
	}
	return nil
}
