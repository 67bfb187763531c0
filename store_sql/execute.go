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
		// SQLite lets writers poll for its lock, and the unlucky starve. Ours
		// queue up in front of it.
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
	defer func() { _ = rows.Close() }() // its error is that of Err
	if rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return false, err
		}
		found = true
		rows.Next() // drivers report some errors only at the end
	}
	return found, rows.Err()
}

// repeat runs f, again where the database gave up for the sake of another.
// Within a transaction that is the caller's to do, from its beginning.
func (s *Store) repeat(ctx context.Context, f func() error) error {
	if s.inTx {
		return f()
	}
	return sqldb.Repeat(ctx, f)
}

// failure says what failed, and why, as far as that is known.
func (s *Store) failure(ctx context.Context, action string, err error) error {
	cause := ""
	switch ctxErr := ctx.Err(); {
	case ctxErr != nil && !errors.Is(err, ctxErr):
		// Some drivers say "interrupted" or "bad connection" instead.
		err = fmt.Errorf("%w: %w", ctxErr, err)
	case sqldb.IsMissingTable(err):
		cause = "the tables are missing, so call Migrate or apply the migrations: "
	case s.inTx && sqldb.IsTransient(err):
		cause = "the transaction met another one, so repeat it from its beginning: "
	}
	return fmt.Errorf("sqlstore: %s in %s: %s%w", action, s.database, cause, err)
}
