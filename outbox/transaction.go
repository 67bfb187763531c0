package outbox

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// transaction is a transaction whose statements all end with a context, also COMMIT.
type transaction interface {
	database
	commit(ctx context.Context) error
	// rollback has no effect after commit.
	rollback(ctx context.Context)
}

// begin begins a transaction. Its rollback must be called in any case.
func (d Database) begin(ctx context.Context, db *sql.DB, level sql.IsolationLevel) (transaction, error) {
	if d == DatabaseMySQL {
		return beginMySQL(ctx, db, level)
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		return nil, err
	}
	return standardTransaction{tx}, nil
}

type standardTransaction struct{ *sql.Tx }

func (t standardTransaction) commit(context.Context) error { return t.Commit() }
func (t standardTransaction) rollback(context.Context)     { _ = t.Rollback() }

// mysqlTransaction executes its own COMMIT: that of database/sql's transactions has no
// context with MySQL's driver, and would wait for as long as the server does.
type mysqlTransaction struct {
	*sql.Conn
	committed bool
}

func beginMySQL(ctx context.Context, db *sql.DB, level sql.IsolationLevel) (transaction, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if level == sql.LevelReadCommitted {
		_, err = conn.ExecContext(ctx, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, "START TRANSACTION")
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &mysqlTransaction{Conn: conn}, nil
}

func (t *mysqlTransaction) commit(ctx context.Context) error {
	_, err := t.ExecContext(ctx, "COMMIT")
	t.committed = err == nil
	return err
}

func (t *mysqlTransaction) rollback(ctx context.Context) {
	if !t.committed {
		if _, err := t.ExecContext(ctx, "ROLLBACK"); err != nil {
			_ = t.Raw(func(any) error { return driver.ErrBadConn }) // the server rolls back when the connection ends
		}
	}
	_ = t.Close()
}
