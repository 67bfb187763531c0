package outbox

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Dialect is the kind of SQL that a database speaks.
type Dialect string

const (
	// PostgreSQL is PostgreSQL 11 or newer.
	PostgreSQL Dialect = "postgresql"
	// MySQL is MySQL 8.0.1 or newer and MariaDB 10.6 or newer, with InnoDB.
	MySQL Dialect = "mysql"
	// SQLite is SQLite 3.24 or newer.
	SQLite Dialect = "sqlite"
)

// statements is the SQL that differs between the dialects.
type statements struct {
	text, payload, long, number string // column types
	table                       string // behind the columns
	known                       string // what an INSERT does about an identity it knows
}

func (d Dialect) statements() *statements {
	switch d {
	case PostgreSQL:
		return &statements{
			text: `text COLLATE "C"`, payload: "bytea", long: `text COLLATE "C"`, number: "bigint",
			known: "ON CONFLICT (identity) DO NOTHING",
		}
	case MySQL:
		// The clustered primary key is the only index. A second unique one
		// would be locked in another order by an INSERT that meets a known
		// identity than by the relay that removes it, and the deadlock could
		// hit the order's transaction.
		return &statements{
			text: "char(64) CHARACTER SET ascii COLLATE ascii_bin", payload: "longblob",
			long: "mediumtext CHARACTER SET ascii COLLATE ascii_bin", number: "bigint",
			table: " ENGINE=InnoDB",
			// INSERT IGNORE would turn every other error into a warning.
			known: "ON DUPLICATE KEY UPDATE identity = identity",
		}
	case SQLite:
		return &statements{
			text: "text", payload: "blob", long: "text", number: "integer",
			known: "ON CONFLICT (identity) DO NOTHING",
		}
	}
	return nil
}

// locks reports whether the database locks rows.
func (d Dialect) locks() bool { return d != SQLite }

// placeholder returns the mark of the n-th argument, from 1.
func (d Dialect) placeholder(n int) string {
	if d == PostgreSQL {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// create returns the statements that create the table unless it exists, for
// one transaction.
func (d Dialect) create(name string) []string {
	s := d.statements()
	// Times are UTC in milliseconds since 1970.
	table := "CREATE TABLE IF NOT EXISTS " + name + " (" +
		"identity " + s.text + " NOT NULL PRIMARY KEY, " +
		"payload " + s.payload + " NOT NULL, " +
		"erase_keys " + s.long + " NOT NULL, " +
		"queued_at " + s.number + " NOT NULL)" + s.table
	if d != PostgreSQL {
		return []string{table}
	}
	// Two CREATE TABLE IF NOT EXISTS at once can fail on PostgreSQL.
	h := fnv.New64a()
	_, _ = h.Write([]byte("clickid " + name))
	return []string{fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(h.Sum64())), table}
}

// insert returns the statement that inserts so many rows, passing over
// identities that the table has.
func (d Dialect) insert(name string, rows int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + name + " (identity, payload, erase_keys, queued_at) VALUES ")
	for row := range rows {
		if row > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%s, %s, %s, %s)", d.placeholder(4*row+1), d.placeholder(4*row+2), d.placeholder(4*row+3), d.placeholder(4*row+4))
	}
	b.WriteString(" " + d.statements().known)
	return b.String()
}
