// Package sqldb holds what the modules that use SQL databases share: the check
// of a table prefix, the lock around migrations, the repetition of statements
// that a deadlock ended, and the creation of SQLite files.
package sqldb

// Database is a kind of SQL database. The exported types of packages sqlstore
// and outbox have the same values.
type Database string

// The kinds of databases. DatabaseMySQL includes MariaDB.
const (
	DatabasePostgreSQL Database = "postgresql"
	DatabaseMySQL      Database = "mysql"
	DatabaseSQLite     Database = "sqlite"
)

// Valid reports whether d is one of the constants.
func (d Database) Valid() bool {
	return d == DatabasePostgreSQL || d == DatabaseMySQL || d == DatabaseSQLite
}
