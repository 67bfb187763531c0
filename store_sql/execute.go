package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
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
	return repeat(ctx, f)
}

// Bounds of repeat: it gives up once both are exceeded. Ten deadlocks are not
// bad luck, and five seconds are SQLite's usual busy timeout.
const (
	repeatTimes  = 10
	repeatFor    = 5 * time.Second
	longestPause = 50 * time.Millisecond
)

func repeat(ctx context.Context, f func() error) error {
	pause := time.Millisecond
	start := time.Now()
	for tries := 1; ; tries++ {
		err := f()
		if err == nil || !isTransient(err) || tries > repeatTimes && time.Since(start) > repeatFor {
			return err
		}
		// Jitter, or those who met here would meet again.
		if wait(ctx, rand.N(pause)) != nil {
			return err
		}
		pause = min(2*pause, longestPause)
	}
}

// wait returns early, with the context's error, when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// isTransient reports whether the database rolled the statement back for a
// reason that passes: deadlock or serialization failure, a record that changed
// since it was read (MariaDB 11), a SQLite file that is locked.
//
// It knows no driver. Those of PostgreSQL tell the SQLSTATE by a method;
// go-sql-driver/mysql begins its text with the number.
func isTransient(err error) bool {
	return matchesError(err, []string{"40001", "40P01"}, []string{"Error 1213 ", "Error 1020 "}, "database is locked")
}

// isNoTable reports whether a table does not exist.
func isNoTable(err error) bool {
	return matchesError(err, []string{"42P01"}, []string{"Error 1146 "}, "no such table")
}

func matchesError(err error, states, numbers []string, sqlite string) bool {
	var postgres interface{ SQLState() string }
	if errors.As(err, &postgres) {
		for _, state := range states {
			if postgres.SQLState() == state {
				return true
			}
		}
		return false
	}
	text := err.Error()
	for _, number := range numbers {
		if strings.Contains(text, number) {
			return true
		}
	}
	return strings.Contains(text, sqlite)
}

// failure says what failed, and why, as far as that is known.
func (s *Store) failure(ctx context.Context, action string, err error) error {
	cause := ""
	switch ctxErr := ctx.Err(); {
	case ctxErr != nil && !errors.Is(err, ctxErr):
		// Some drivers say "interrupted" or "bad connection" instead.
		err = fmt.Errorf("%w: %w", ctxErr, err)
	case isNoTable(err):
		cause = "the tables are missing, so call Migrate or apply the migrations: "
	case s.inTx && isTransient(err):
		cause = "the transaction met another one, so repeat it from its beginning: "
	}
	return fmt.Errorf("clickid: %s in %s: %s%w", action, s.database, cause, err)
}
