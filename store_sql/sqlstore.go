// Package sqlstore keeps clicks and links in PostgreSQL, MySQL, MariaDB or
// SQLite, through database/sql and the driver that the application has chosen.
//
//	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
//	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: sqlstore.DatabasePostgreSQL})
//	err = store.Migrate(ctx, db)
//	tracker, err := clickid.New(clickid.Config{Store: store})
//	go store.PurgeEvery(ctx, time.Hour, nil)
//
// The tables need a purge from time to time: PurgeEvery, or Purge from the
// application's own scheduler.
//
// # Drivers
//
// Tested with github.com/jackc/pgx/v5/stdlib, github.com/go-sql-driver/mysql
// and modernc.org/sqlite. No setting of the session's or the driver's time zone
// matters, nor parseTime. With go-sql-driver/mysql, interpolateParams=true
// saves a round trip for every statement.
//
// # What is stored
//
// Tokens and keys are stored as SHA-256 and as ciphertext, so that a dump of
// the tables holds no live token and no session. The click IDs in it are in
// the clear.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/sqldb"
)

// Database is a kind of SQL database.
type Database string

const (
	// DatabasePostgreSQL is PostgreSQL 12 or later.
	DatabasePostgreSQL Database = "postgresql"
	// DatabaseMySQL is MySQL 8.0 or later, or MariaDB 10.6 or later.
	DatabaseMySQL Database = "mysql"
	// DatabaseSQLite is SQLite 3.37 or later. It is for one machine: see [OpenSQLite].
	DatabaseSQLite Database = "sqlite"
)

// DefaultPrefix begins the names of all tables and indexes.
const DefaultPrefix = "clickid_"

// DB is what a [Store] needs of a database. *sql.DB, *sql.Conn and *sql.Tx are
// one, and so are the handles of most libraries that build on database/sql.
type DB interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Config configures a [Store]. DB and Database are required.
type Config struct {
	// DB is where the tables are, usually a *sql.DB. The store does not close
	// it.
	DB DB
	// Database is the kind of DB. Required.
	Database Database
	// Prefix begins the names of the tables: 1 to 32 characters of [a-z0-9_],
	// the first no digit. The tables are PREFIXclicks and PREFIXlinks, and
	// PREFIXmigrations where [Store.Migrate] is used. They are looked for as
	// the connection looks for any table, in PostgreSQL along its search_path.
	// Defaults to "clickid_".
	Prefix string
}

// Store is a [clickid.Store], a [clickid.Linker] and a [clickid.TokenChecker].
// It is safe for concurrent use and starts no goroutine.
//
// Every method is one short statement, or two, each of which commits by
// itself. A statement that the database gave up for the sake of another
// (deadlock, serialization failure, a locked SQLite file) is repeated until
// the context ends, or ten times and for five seconds.
type Store struct {
	db       DB
	database Database
	prefix   string
	sql      statements
	inTx     bool
	writing  chan struct{} // holds SQLite's one writer of this store; nil elsewhere
	now      func() time.Time
}

var (
	_ clickid.Store        = (*Store)(nil)
	_ clickid.Linker       = (*Store)(nil)
	_ clickid.TokenChecker = (*Store)(nil)
)

// New returns a store, or an error that names every problem of cfg. It does
// not speak to the database.
func New(cfg Config) (*Store, error) {
	var problems []error
	if cfg.DB == nil {
		problems = append(problems, errors.New("sqlstore: Config.DB is required, such as a *sql.DB"))
	}
	if !sqldb.Database(cfg.Database).Valid() {
		problems = append(problems, errors.New("sqlstore: Config.Database must be DatabasePostgreSQL, DatabaseMySQL or DatabaseSQLite"))
	}
	prefix := cfg.Prefix
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if err := sqldb.CheckPrefix(sqldb.Database(cfg.Database), prefix); err != nil {
		problems = append(problems, fmt.Errorf("sqlstore: Config.Prefix %w", err))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	s := &Store{
		db:       cfg.DB,
		database: cfg.Database,
		prefix:   prefix,
		sql:      newStatements(cfg.Database, prefix),
		now:      time.Now,
	}
	if s.database == DatabaseSQLite {
		s.writing = make(chan struct{}, 1)
	}
	return s, nil
}

// In returns the store within the caller's transaction, so that a click is
// linked to an order exactly when the order is committed:
//
//	err = tracker.LinkIn(ctx, store.In(tx), clickid.OrderKey(order.ID))
//
// No statement is repeated there. An error means what it means for the
// transaction's other statements: in PostgreSQL it has failed, and after a
// deadlock in MySQL it is gone.
func (s *Store) In(tx DB) *Store {
	in := *s
	in.db, in.inTx, in.writing = tx, true, nil
	return &in
}
