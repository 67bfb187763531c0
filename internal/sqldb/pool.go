package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// poolTimeout is how long [CheckFree] waits: other users of the pool return the
// connection sooner.
const poolTimeout = 2 * time.Second

// ErrOwnTransaction means that the only connection of a pool is in use, probably
// by the caller's own transaction.
var ErrOwnTransaction = errors.New("the only connection of the pool is in use, probably by the order's own transaction: use In(tx) in a transaction")

// CheckFree returns [ErrOwnTransaction] when a pool of one connection does not
// return it in time. A caller that holds it would otherwise wait for itself until
// its deadline.
func CheckFree(ctx context.Context, db *sql.DB) error {
	if db.Stats().MaxOpenConnections != 1 {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, poolTimeout)
	defer cancel()
	conn, err := db.Conn(wait)
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return ErrOwnTransaction
		}
		return nil // the statement itself reports any other failure
	}
	return conn.Close()
}

// ErrNoConnection means that no connection of a pool was free in time, or that the
// database took too long to begin a transaction.
var ErrNoConnection = errors.New("no connection of the pool was free in time, or the database is slow; in the order's transaction use In(tx), " +
	"since a pool of one connection would wait for itself")
