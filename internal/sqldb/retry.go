package sqldb

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/sleep"
)

// Bounds of Repeat. It gives up when both are exceeded: ten deadlocks in a row
// are not a coincidence, and five seconds are SQLite's usual busy timeout.
const (
	repeatTimes  = 10
	repeatFor    = 5 * time.Second
	longestPause = 50 * time.Millisecond
)

// Repeat calls f until it returns nil or an error that is neither transient nor the
// end of the session. After ten calls and five seconds it returns the last error of
// f, and when ctx ends as well.
func Repeat(ctx context.Context, f func() error) error {
	pause := time.Millisecond
	start := time.Now()
	for tries := 1; ; tries++ {
		err := f()
		if err == nil || !IsTransient(err) && !sessionEnded(err) || tries > repeatTimes && time.Since(start) > repeatFor {
			return err
		}
		// Without jitter, statements that met here would meet again.
		if sleep.For(ctx, rand.N(pause)) != nil {
			return err
		}
		pause = min(2*pause, longestPause)
	}
}

// IsTransient reports whether the database rolled the statement back for a
// reason that passes: a deadlock, a serialization failure, a row that changed
// since it was read (MariaDB 11), a locked SQLite file.
//
// It imports no driver. Errors of PostgreSQL drivers have a method SQLState,
// and the text of go-sql-driver/mysql begins with the error number.
func IsTransient(err error) bool {
	return matches(err, []string{"40001", "40P01"}, []string{"Error 1213 ", "Error 1020 "}, "database is locked")
}

// sessionEnded reports whether PostgreSQL ended the session instead of the
// statement, as in a restart. The pool then opens another connection. For MySQL the
// driver does so itself: it looks at a connection before it uses it.
func sessionEnded(err error) bool { return matches(err, []string{"57P01", "57P02"}, nil, "") }

// IsMissingTable reports whether the statement failed because a table does not
// exist.
func IsMissingTable(err error) bool {
	return matches(err, []string{"42P01"}, []string{"Error 1146 "}, "no such table")
}

// IsReadOnly reports whether the server refused a statement that writes, because it
// is a replica or a primary that was demoted.
func IsReadOnly(err error) bool {
	return matches(err, []string{"25006"}, []string{"Error 1290 ", "Error 1792 ", "Error 1836 "}, "")
}

// ReadOnlyFix precedes the error of [IsReadOnly].
const ReadOnlyFix = "the server is read-only, as a replica is; connect to the primary (docs/databases.md, Failover): "

func matches(err error, states, numbers []string, sqlite string) bool {
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
	return sqlite != "" && strings.Contains(text, sqlite)
}
