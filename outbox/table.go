package outbox

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/sqldb"
)

// TableConfig configures a [Table]. Database and Destination are required.
type TableConfig struct {
	// Database is the kind of the order's database. Required.
	Database Database
	// Destination is the destination of the events. It checks them before they
	// are stored, and its name is part of their identity. Required.
	Destination Destination
	// Metadata is as in [Config].
	Metadata func(ctx context.Context) map[string]string
	// ForgetSkips is as in [Config].
	ForgetSkips bool
	// Prefix is the prefix of the table's name, Prefix + "outbox": 1 to 32
	// characters of [a-z0-9_], not beginning with a digit. Defaults to
	// [DefaultPrefix].
	Prefix string
}

// DefaultPrefix is the default prefix of the table's name, the same as in
// package sqlstore.
const DefaultPrefix = "clickid_"

// Table is an outbox table. Conversions are stored in it in the order's
// transaction, and a [Relay] moves them to a queue. It is safe for concurrent
// use.
type Table struct {
	database    Database
	destination Destination
	metadata    func(context.Context) map[string]string // or nil
	forgetSkips bool
	name        string
	moved       string        // the table of moved events; see Volatile
	wake        chan struct{} // wakes the relays of this process

	// moving is held on SQLite while a relay of this process moves a batch, so
	// that Erase finds all events. On other databases row locks have this
	// effect for all processes.
	moving sync.RWMutex
}

// Execer is a transaction: *sql.Tx, or that of a library that passes statement
// and arguments to the database as they are. docs/databases.md has the
// expression for sqlx, GORM, ent, sqlc, bun and pgx. An *sql.DB also implements
// it.
type Execer interface {
	// ExecContext is as that of *sql.Tx.
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// ExecFunc is an [Execer] for a transaction with another method, such as pgx.Tx.
// It executes a statement with its arguments:
//
//	ob.In(outbox.ExecFunc(func(ctx context.Context, query string, args ...any) error {
//		_, err := tx.Exec(ctx, query, args...)
//		return err
//	}))
type ExecFunc func(ctx context.Context, query string, args ...any) error

// ExecContext calls f. Its result has no number of rows.
func (f ExecFunc) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return driver.ResultNoRows, f(ctx, query, args...)
}

// NewTable returns a table. Its error joins all problems of cfg. NewTable makes
// no connection; see [Table.Migrate].
func NewTable(cfg TableConfig) (*Table, error) {
	var problems []error
	if !sqldb.Database(cfg.Database).Valid() {
		problems = append(problems, errors.New("outbox: TableConfig.Database must be DatabasePostgreSQL, DatabaseMySQL or DatabaseSQLite"))
	}
	if err := checkDestination(cfg.Destination); err != nil {
		problems = append(problems, err)
	}
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if err := sqldb.CheckPrefix(sqldb.Database(cfg.Database), cfg.Prefix); err != nil {
		problems = append(problems, fmt.Errorf("outbox: TableConfig.Prefix %w", err))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return &Table{database: cfg.Database, destination: cfg.Destination, metadata: cfg.Metadata, forgetSkips: cfg.ForgetSkips, name: cfg.Prefix + "outbox", moved: cfg.Prefix + "outbox_moved", wake: make(chan struct{}, 1)}, nil
}

// In returns a sender that stores the events in the table through tx. They
// commit or roll back with the order. It does not wait for the platform or the
// queue.
//
// After the commit, [Table.Notify] spares the event the relay's interval. With
// an *sql.DB in place of a transaction each Send is a transaction of its own, and
// notifies.
func (t *Table) In(tx Execer) clickid.Sender {
	return t.sender(tx, Config{Metadata: t.metadata, ForgetSkips: t.forgetSkips})
}

// sender returns a sender with the Metadata and the Consent of cfg.
func (t *Table) sender(tx Execer, cfg Config) clickid.Sender {
	return sender{destination: t.destination, metadata: cfg.Metadata, asksLater: cfg.Consent != nil, forgetSkips: cfg.ForgetSkips, queue: EnqueueFunc(func(ctx context.Context, records []Record) (map[string]string, error) {
		db, autocommit := tx.(*sql.DB)
		if !autocommit {
			return nil, t.insert(ctx, tx, records)
		}
		defer t.Notify()
		return nil, t.insertAndCommit(ctx, db, records)
	})}
}

// insertAndCommit inserts all records or none.
func (t *Table) insertAndCommit(ctx context.Context, db *sql.DB, records []Record) error {
	if err := sqldb.CheckFree(ctx, db); err != nil {
		return fmt.Errorf("outbox: writing to the outbox table: %w", err)
	}
	tx, err := t.database.begin(ctx, db, sql.LevelDefault)
	if err != nil {
		return fmt.Errorf("outbox: writing to the outbox table: %w", err)
	}
	defer tx.rollback(ctx)
	if err := t.insert(ctx, tx, records); err != nil {
		return err
	}
	if err := tx.commit(ctx); err != nil {
		return fmt.Errorf("outbox: committing to the outbox table: %w", err)
	}
	return nil
}

// Notify wakes the relays of this process after a commit. It never blocks.
func (t *Table) Notify() {
	select {
	case t.wake <- struct{}{}:
	default: // a notification is pending
	}
}

// attributes are the parts of a record without their own column.
type attributes struct {
	Refused     string            `json:"refused,omitempty"`
	Skipped     string            `json:"skipped,omitempty"`
	Fingerprint string            `json:"fingerprint,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// destinationID identifies the rows of this table's destination. Outboxes of
// several destinations can share a table.
func (t *Table) destinationID() string {
	sum := sha256.Sum256([]byte(t.destination.Name()))
	return hex.EncodeToString(sum[:8])
}

// Limits of an INSERT. Its parameters and bytes are within every database's
// default limits.
const (
	insertRows  = 500
	insertBytes = 1 << 20
)

func (t *Table) insert(ctx context.Context, tx Execer, records []Record) error {
	for len(records) > 0 {
		n, size := 0, 0
		for n < len(records) && n < insertRows && (n == 0 || size+len(records[n].Payload) <= insertBytes) {
			size += len(records[n].Payload)
			n++
		}
		args := make([]any, 0, insertColumns*n)
		for _, r := range records[:n] {
			rest, err := json.Marshal(attributes{r.Refused, r.Skipped, r.Fingerprint, r.Metadata})
			if err != nil {
				return fmt.Errorf("outbox: writing to the outbox table: %w", err)
			}
			args = append(args, t.destinationID(), r.Identity, r.Payload, string(rest), strings.Join(r.Keys, " "), r.QueuedAt.UnixMilli())
		}
		if _, err := tx.ExecContext(ctx, t.database.insert(t.name, n), args...); err != nil {
			if strings.Contains(err.Error(), "there is no parameter $1") {
				return fmt.Errorf("outbox: writing to the outbox table: the transaction formats statements itself, so pass its *sql.Tx, such as tx.Tx with bun: %w", err)
			}
			fix := ""
			if sqldb.IsReadOnly(err) {
				fix = sqldb.ReadOnlyFix
			}
			return fmt.Errorf("outbox: writing to the outbox table: %s%w", fix, err)
		}
		records = records[n:]
	}
	return nil
}

// Erase deletes the events with a key from the table and returns their number;
// duplicates count. Call it before Erase of the queue, which finds the moved
// events. The error matches [clickid.ErrInvalid] for the zero Key.
func (t *Table) Erase(ctx context.Context, db *sql.DB, k clickid.Key) (int, error) {
	hash, err := KeyHash(k)
	if err != nil {
		return 0, err
	}
	if !t.database.locks() {
		t.moving.Lock()
		defer t.moving.Unlock()
	}
	erased, err := t.erase(ctx, db, t.name, hash)
	if err == nil {
		_, err = t.erase(ctx, db, t.moved, hash) // the queue counts these
	}
	if err != nil {
		return erased, fmt.Errorf("outbox: erasing from the outbox table: %w", err)
	}
	return erased, nil
}

// erase deletes the rows of a table with the hash of a key. They are found
// without a lock and deleted by their id, since a DELETE that searches blocks
// orders on MySQL.
func (t *Table) erase(ctx context.Context, db *sql.DB, name, hash string) (erased int, err error) {
	keys, err := t.keysOf(ctx, db, name, hash)
	for len(keys) > 0 && err == nil {
		part := keys[:min(len(keys), maxBatch)]
		var n int
		n, err = t.remove(ctx, db, name, part)
		erased += n
		keys = keys[len(part):]
	}
	return erased, err
}

// find returns the entries of the rows of an event in one of the tables.
func (t *Table) find(ctx context.Context, db *sql.DB, name string, search Search) ([]Entry, error) {
	rows, err := t.read(ctx, db, t.database.ofEvent(name), search.Key[:eventLength], search.Key+"%", t.destinationID())
	if err != nil {
		return nil, fmt.Errorf("outbox: finding an event in the outbox table: %w", err)
	}
	var entries []Entry
	for _, r := range rows {
		if entry, ok := search.Queued(r.record); ok {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

// keysOf returns the rows with the hash of a key.
func (t *Table) keysOf(ctx context.Context, db *sql.DB, name, hash string) ([]rowKey, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, identity FROM "+name+" WHERE erase_keys LIKE "+t.database.placeholder(1), "%"+hash+"%")
	if err != nil {
		return nil, err
	}
	return readKeys(rows)
}

// Stats returns the number of events in the table and the age of the oldest. A
// number above 2,000 is an estimate from a sample, in which an event that was
// stored twice counts twice.
func (t *Table) Stats(ctx context.Context, db *sql.DB) (Stats, error) {
	stats, err := t.count(ctx, db)
	if err != nil {
		return Stats{}, fmt.Errorf("outbox: counting the events of the outbox table: %w", err)
	}
	return stats, nil
}

func (t *Table) count(ctx context.Context, db *sql.DB) (stats Stats, err error) {
	ours := " FROM " + t.name + " WHERE " + t.database.ofDestination(1)
	var rows int
	var oldest sql.NullInt64
	err = db.QueryRowContext(ctx, "SELECT COUNT(*), COUNT(DISTINCT identity), MIN(queued_at) FROM (SELECT identity, queued_at"+ours+
		" ORDER BY id LIMIT "+strconv.Itoa(sqldb.CountLimit+1)+") AS first_rows", t.destinationID()).Scan(&rows, &stats.Queued, &oldest)
	if err != nil {
		return Stats{}, err
	}
	if oldest.Valid {
		stats.Oldest = max(0, time.Since(time.UnixMilli(oldest.Int64)))
	}
	if rows <= sqldb.CountLimit {
		return stats, nil
	}
	var first, last int64
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(MIN(id), 1), COALESCE(MAX(id), 0) FROM "+t.name).Scan(&first, &last); err != nil {
		return Stats{}, err
	}
	where, factor := sqldb.Sample(first, last)
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*)"+ours+" AND "+where, t.destinationID()).Scan(&rows); err != nil {
		return Stats{}, err
	}
	stats.Queued, stats.Estimated = max(stats.Queued, int(float64(rows)*factor)), true
	return stats, nil
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// row is an event in the table.
type row struct {
	id     int64
	record Record
}

// batch reads up to limit rows after an id.
func (t *Table) batch(ctx context.Context, q querier, after int64, limit int) ([]row, error) {
	return t.read(ctx, q, t.database.batch(t.name, limit), after, t.destinationID())
}

// read returns the rows of a query for the columns of rowColumns.
func (t *Table) read(ctx context.Context, q querier, query string, args ...any) ([]row, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var batch []row
	for rows.Next() {
		var r row
		var keys, rest string
		var queuedAt int64
		if err := rows.Scan(&r.id, &r.record.Identity, &r.record.Payload, &rest, &keys, &queuedAt); err != nil {
			return nil, err
		}
		var attributes attributes
		_ = json.Unmarshal([]byte(rest), &attributes) // a damaged value does not lose the event
		r.record.Refused, r.record.Skipped = attributes.Refused, attributes.Skipped
		r.record.Fingerprint, r.record.Metadata = attributes.Fingerprint, attributes.Metadata
		r.record.Keys = strings.Fields(keys)
		r.record.QueuedAt = time.UnixMilli(queuedAt).UTC()
		batch = append(batch, r)
	}
	return batch, rows.Err()
}

// remove deletes rows and returns the number of those that existed.
func (t *Table) remove(ctx context.Context, tx Execer, name string, keys []rowKey) (int, error) {
	removed := 0
	if len(keys) == 0 {
		return 0, nil
	}
	for _, s := range t.database.remove(name, keys) {
		result, err := tx.ExecContext(ctx, s.text, s.args...)
		if err != nil {
			return removed, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return removed, err
		}
		removed += int(n)
	}
	return removed, nil
}
