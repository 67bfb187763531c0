package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/clickid/clickid/internal/sqldb"
)

// exec runs a statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, action, query string, args ...any) (changed int64, err error) {
	if s.writing != nil {
		// SQLite lets writers poll for its lock, and some of them starve. The
		// writers of this store wait in a queue instead.
		select {
		case s.writing <- struct{}{}:
			defer func() { <-s.writing }()
		case <-ctx.Done():
			return 0, s.failure(ctx, action, ctx.Err())
		}
	}
	err = s.repeat(ctx, func() error {
		result, err := s.db.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, s.failure(ctx, action, err)
	}
	return changed, nil
}

// queryRow reads the only row of a query, if there is one.
func (s *Store) queryRow(ctx context.Context, action, query string, args []any, dest ...any) (found bool, err error) {
	err = s.repeat(ctx, func() error {
		found, err = scanRow(ctx, s.db, query, args, dest...)
		return err
	})
	if err != nil {
		return false, s.failure(ctx, action, err)
	}
	return found, nil
}

func scanRow(ctx context.Context, db DB, query string, args []any, dest ...any) (found bool, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }() // Err returns the same error
	if rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return false, err
		}
		found = true
		rows.Next() // drivers report some errors only at the end
	}
	return found, rows.Err()
}

// repeat calls f again after a transient error. In a transaction it calls f
// once: only the caller can repeat the transaction from its beginning.
func (s *Store) repeat(ctx context.Context, f func() error) error {
	if s.inTx {
		return f()
	}
	return sqldb.Repeat(ctx, f)
}

// failure adds to an error what failed and, where it is known, the fix.
func (s *Store) failure(ctx context.Context, action string, err error) error {
	fix := ""
	switch ctxErr := ctx.Err(); {
	case ctxErr != nil && !errors.Is(err, ctxErr):
		// Some drivers return "interrupted" or "bad connection" instead.
		err = fmt.Errorf("%w: %w", ctxErr, err)
	case sqldb.IsMissingTable(err):
		fix = "the tables are missing, call Migrate or apply the migrations: "
	case sqldb.IsReadOnly(err):
		fix = sqldb.ReadOnlyFix
	case s.inTx && sqldb.IsTransient(err):
		fix = "the transaction conflicts with another one, repeat it from its beginning: "
	}
	return fmt.Errorf("sqlstore: %s in %s: %s%w", action, s.database, fix, err)
}
