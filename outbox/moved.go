package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Volatile is an optional interface of a queue that may forget what it has
// stored, such as one in Redis. A relay keeps the events that it has moved to
// such a queue in a second table until they have their outcome, and enqueues
// again what the queue has forgotten.
type Volatile interface {
	// Outcomes reports for each identity that the queue knows whether the event
	// has its outcome: it was delivered, skipped, erased or discarded, or it is
	// a dead letter. Forgotten and lost events are left out. A queue remembers an
	// outcome for at least a day or the deduplication window.
	Outcomes(ctx context.Context, identities []string) (ended map[string]bool, err error)
}

// createMoved returns the statement that creates the table of moved events
// unless it exists. It has the columns of the outbox table and the time of the
// move. Orders do not write to it.
func (d Database) createMoved(name string) string {
	return d.create(name, ", moved_at "+d.columns().number+" NOT NULL")
}

// keep returns the statement that copies rows to the table of moved events.
func (d Database) keep(name, moved string, ids []int64, now time.Time) string {
	const columns = "destination, identity, payload, attributes, erase_keys, queued_at"
	return fmt.Sprintf("INSERT INTO %s (%s, moved_at) SELECT %s, %d FROM %s WHERE id IN (%s)",
		moved, columns, columns, now.UnixMilli(), name, listed(ids))
}

func listed(ids []int64) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(list, ", ")
}

// movedBefore reads up to limit moved events after an id.
func (t *Table) movedBefore(ctx context.Context, q querier, after int64, before time.Time, limit int) ([]rowKey, error) {
	d := t.database
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT id, identity FROM %s WHERE id > %s AND %s AND moved_at <= %s ORDER BY id LIMIT %d",
		t.moved, d.placeholder(1), d.ofDestination(2), d.placeholder(3), limit), after, t.destinationID(), before.UnixMilli())
	if err != nil {
		return nil, err
	}
	return readKeys(rows)
}

// readKeys reads the rows of a query for id and identity.
func readKeys(rows *sql.Rows) (keys []rowKey, err error) {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k rowKey
		if err := rows.Scan(&k.id, &k.identity); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// lockMoved reads moved events that still exist, the latest first, and locks them where
// the database can, so that an erasure waits for it.
func (t *Table) lockMoved(ctx context.Context, q querier, keys []rowKey) ([]row, error) {
	ids, identities := make([]int64, len(keys)), make(map[int64]string, len(keys))
	for i, k := range keys {
		ids[i], identities[k.id] = k.id, k.identity
	}
	query := "SELECT " + rowColumns + " FROM " + t.moved + " WHERE id IN (" + listed(ids) + ") ORDER BY id DESC"
	if t.database.locks() {
		query += " FOR UPDATE"
	}
	rows, err := t.read(ctx, q, query)
	return slices.DeleteFunc(rows, func(r row) bool { return r.record.Identity != identities[r.id] }), err
}
