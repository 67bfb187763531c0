// Package sqlstore keeps clicks and links in PostgreSQL, MySQL, MariaDB or
// SQLite. It uses database/sql and the driver that the application imports.
//
//	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
//	if err != nil {
//		return err
//	}
//	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: sqlstore.DatabasePostgreSQL})
//	if err != nil {
//		return err
//	}
//	if err := store.Migrate(ctx, db); err != nil {
//		return err
//	}
//	go store.PurgeEvery(ctx, time.Hour, nil)
//	tracker, err := clickid.New(clickid.Config{Store: store})
//
// [New] checks the configuration, [Store.Migrate] creates the tables, and
// [Store.PurgeEvery] deletes expired rows, which the database keeps otherwise.
// [OpenSQLite] opens a SQLite file with the settings that the store needs.
// [Store.In] links a click to an order in the order's own transaction.
//
// # Drivers
//
// The tests use github.com/jackc/pgx/v5/stdlib, github.com/go-sql-driver/mysql
// and modernc.org/sqlite. The time zone of the session and of the driver have
// no effect, nor has parseTime. With go-sql-driver/mysql, interpolateParams=true
// saves a round trip for each statement, and rejectReadOnly=true closes connections
// to a primary that was demoted; docs/databases.md describes failovers.
//
// # Stored data
//
// The tables hold SHA-256 hashes of tokens and of the application's keys. A link
// holds its token encrypted with the key's value, so a dump of the tables
// contains no usable token as long as the key cannot be guessed. Click IDs are
// stored in plain text.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/nilcheck"
	"github.com/clickid/clickid/internal/sqldb"
)

// Database is a kind of SQL database.
type Database string

// The databases that a [Store] can use.
const (
	// DatabasePostgreSQL is PostgreSQL 12 or later.
	DatabasePostgreSQL Database = "postgresql"
	// DatabaseMySQL is MySQL 8.0 or later, or MariaDB 10.6 or later.
	DatabaseMySQL Database = "mysql"
	// DatabaseSQLite is SQLite 3.37 or later, on one machine: see [OpenSQLite].
	DatabaseSQLite Database = "sqlite"
)

// DefaultPrefix is the default of [Config.Prefix].
const DefaultPrefix = "clickid_"

// DB runs the statements of a [Store]. *sql.DB, *sql.Conn and *sql.Tx implement
// it, and so do the handles of most libraries that build on database/sql.
type DB interface {
	// ExecContext and QueryContext are as those of *sql.DB.
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Config configures a [Store]. Later changes have no effect.
type Config struct {
	// DB has the tables. It is usually a *sql.DB. It must not read from a replica,
	// which may not have a new click yet, so that a missing click would prove
	// nothing. The store does not close it. Required.
	DB DB
	// Database is the kind of database behind DB. Required.
	Database Database
	// Prefix begins the names of the tables PREFIXclicks and PREFIXlinks, and
	// of PREFIXmigrations when [Store.Migrate] is used: 1 to 32 characters of
	// [a-z0-9_] that do not begin with a digit, nor with sqlite_ on SQLite. The
	// database finds the tables as it finds all tables of the connection;
	// PostgreSQL uses the search_path. Change it when several shops share a
	// database. Defaults to [DefaultPrefix].
	Prefix string
}

// Store is a [clickid.Store], a [clickid.Linker] and a [clickid.TokenChecker].
// It is safe for concurrent use and starts no goroutine.
//
// Each method runs one or two short statements, which commit immediately. When
// the database rolls a statement back for a reason that passes (a deadlock, a
// serialization failure, a locked SQLite file), the store repeats it. It gives
// up after ten times and five seconds, and when the context ends.
type Store struct {
	db       DB
	database Database
	prefix   string
	sql      statements
	inTx     bool
	writing  chan struct{} // held by the writer of a SQLite store; nil elsewhere
	now      func() time.Time
}

var (
	_ clickid.Store        = (*Store)(nil)
	_ clickid.Linker       = (*Store)(nil)
	_ clickid.TokenChecker = (*Store)(nil)
)

// New returns a store, or an error that lists every problem of cfg. It does not
// connect to the database.
func New(cfg Config) (*Store, error) {
	var problems []error
	if nilcheck.IsNil(cfg.DB) {
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

// In returns a store that uses the caller's transaction, so that a link to an
// order commits or rolls back with the order:
//
//	err = tracker.LinkIn(ctx, store.In(tx), clickid.OrderKey(order.ID))
//
// The returned store is valid until the transaction ends. It repeats no
// statement. After an error, treat the transaction as after any failed
// statement: PostgreSQL accepts only a rollback, and MySQL has rolled it back
// after a deadlock. With a nil tx, all methods that need the database return an
// error.
func (s *Store) In(tx DB) *Store {
	if nilcheck.IsNil(tx) {
		tx = noTransaction{}
	}
	in := *s
	in.db, in.inTx, in.writing = tx, true, nil
	return &in
}

// noTransaction is the DB of a store in a nil transaction.
type noTransaction struct{}

var errNoTransaction = errors.New("Store.In needs a transaction: tx is nil")

func (noTransaction) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errNoTransaction
}

func (noTransaction) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errNoTransaction
}
