package sqlstore_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/outagetest"
	sqlstore "github.com/clickid/clickid/store_sql"
)

func TestIn_commitAndRollback(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		s, db := d.store(t)
		_, err := db.ExecContext(ctx, "CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY)")
		require.NoError(t, err)
		c := newClick("01ARZ3NDEKTSV4RRFFQ69G5FAV")
		token, err := s.Save(ctx, c)
		require.NoError(t, err)
		k := clickid.OrderKey("42")

		order := func(end func(*sql.Tx) error) {
			tx, err := db.BeginTx(ctx, nil)
			require.NoError(t, err)
			_, err = tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (42)")
			require.NoError(t, err)
			require.NoError(t, s.In(tx).Link(ctx, k, token, c.Expires))
			linked, err := s.In(tx).Linked(ctx, k)
			require.NoError(t, err)
			require.Equal(t, token, linked)
			_, err = s.Linked(ctx, k)
			require.ErrorIs(t, err, clickid.ErrNotFound, "before the commit")
			require.NoError(t, end(tx))
		}
		order((*sql.Tx).Rollback)
		_, err = s.Linked(ctx, k)
		require.ErrorIs(t, err, clickid.ErrNotFound)
		order((*sql.Tx).Commit)
		linked, err := s.Linked(ctx, k)
		require.NoError(t, err)
		require.Equal(t, token, linked)

		// All other methods use the transaction as well.
		tx, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		in := s.In(tx)
		require.NoError(t, in.Delete(ctx, token))
		_, err = in.Load(ctx, token)
		require.ErrorIs(t, err, clickid.ErrNotFound)
		_, err = in.Save(ctx, c)
		require.NoError(t, err)
		require.NoError(t, tx.Rollback())
		got, err := s.Load(ctx, token)
		require.NoError(t, err)
		require.Equal(t, c, got)
		require.Equal(t, 1, s.count(t, "clicks"))
	})
}

func TestIn_endedTransaction(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		s, db := d.store(t)
		tx, err := db.Begin()
		require.NoError(t, err)
		require.NoError(t, tx.Rollback())
		err = s.In(tx).Link(context.Background(), clickid.OrderKey("42"), "token", time.Now().Add(time.Hour))
		require.ErrorIs(t, err, sql.ErrTxDone)
	})
}

// TestIn_deadlock has two transactions that link the same orders in opposite
// order and wait for each other. The database rolls one of them back.
func TestIn_deadlock(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		if d.database == sqlstore.DatabaseSQLite {
			return // SQLite has one writer at a time
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s, db := d.store(t)
		keys := []clickid.Key{clickid.OrderKey("1"), clickid.OrderKey("2")}
		expires := time.Now().Add(time.Hour)
		for _, k := range keys {
			require.NoError(t, s.Link(ctx, k, "token", expires))
		}
		first, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		defer func() { _ = first.Rollback() }()
		second, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		defer func() { _ = second.Rollback() }()
		require.NoError(t, s.In(first).Link(ctx, keys[0], "first", expires))
		require.NoError(t, s.In(second).Link(ctx, keys[1], "second", expires))
		crossed := make(chan error, 1)
		go func() {
			err := s.In(first).Link(ctx, keys[1], "first", expires)
			if err != nil {
				_ = first.Rollback()
			}
			crossed <- err
		}()
		err = s.In(second).Link(ctx, keys[0], "second", expires)
		if err != nil {
			_ = second.Rollback()
		}
		failed := []error{<-crossed, err}
		if failed[0] == nil {
			failed = failed[1:]
		} else {
			require.NoError(t, failed[1], "both transactions failed")
		}
		require.ErrorContains(t, failed[0], "the transaction conflicts with another one")
	})
}

// TestStore_repeatedStatement has a statement of the store that conflicts with a
// transaction: on PostgreSQL with a serialization failure, which repeatable read
// causes reliably, on MySQL with a deadlock.
func TestStore_repeatedStatement(t *testing.T) {
	settings := map[sqlstore.Database]string{
		sqlstore.DatabasePostgreSQL: "default_transaction_isolation=repeatable%20read",
		sqlstore.DatabaseMySQL:      "interpolateParams=true",
	}
	waiting := map[sqlstore.Database]string{
		sqlstore.DatabasePostgreSQL: "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
		sqlstore.DatabaseMySQL: `SELECT COUNT(*) FROM information_schema.innodb_trx JOIN information_schema.processlist ON id = trx_mysql_thread_id
			WHERE db = DATABASE() AND trx_state = 'LOCK WAIT'`,
	}
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		if d.database == sqlstore.DatabaseSQLite {
			return // SQLite has one writer at a time
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		db := d.open(t, d.with(d.create(t), settings[d.database]))
		s := d.migrated(t, db, sqlstore.DefaultPrefix)
		counted := &countedDB{DB: db}
		s.Store = d.through(t, counted, s.prefix)
		// MySQL deletes the links of a token in the order of their keys.
		first, second := clickid.OrderKey("1"), clickid.OrderKey("2")
		if a, b := extension.KeyHash(first), extension.KeyHash(second); bytes.Compare(a[:], b[:]) > 0 {
			first, second = second, first
		}
		expires := time.Now().Add(time.Hour)
		require.NoError(t, s.Link(ctx, first, "token", expires))
		require.NoError(t, s.Link(ctx, second, "token", expires))

		tx, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
		for n := range 50 { // MySQL rolls back the smaller transaction
			require.NoError(t, s.In(tx).Link(ctx, clickid.CustomerKey(fmt.Sprint(n)), "another", expires))
		}
		require.NoError(t, s.In(tx).Link(ctx, second, "token", expires))
		unlinked := make(chan error, 1)
		go func() { unlinked <- s.UnlinkToken(ctx, "token") }()
		outagetest.Eventually(t, func() error {
			time.Sleep(120 * time.Millisecond) // InnoDB returns cached rows to a query within 100 ms of the last one
			var n int
			if err := db.QueryRowContext(ctx, waiting[d.database]).Scan(&n); err != nil || n == 1 {
				return err
			}
			return errors.New("no statement waits for the transaction")
		})
		if d.database == sqlstore.DatabaseMySQL {
			require.NoError(t, s.In(tx).Link(ctx, first, "token", expires))
		}
		require.NoError(t, tx.Commit())
		require.NoError(t, <-unlinked)
		require.NotZero(t, counted.transient.Load())
		require.Equal(t, 50, s.count(t, "links"))
	})
}
