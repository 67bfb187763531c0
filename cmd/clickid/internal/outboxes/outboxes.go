// Package outboxes opens the outbox of a shop for its administration. It needs
// neither client nor API key, and delivers nothing.
package outboxes

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/clickid/clickid/internal/sqldb"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx" of the outbox table
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Options choose an outbox.
type Options struct {
	// URL is the address of the queue: postgres:// for River, redis:// for
	// asynq, or the path of a SQLite file.
	URL string
	// TableURL is the address of the database with the outbox table that feeds
	// the queue: postgres://, mysql://, a data source name of go-sql-driver/mysql
	// such as user@tcp(host:3306)/database, or the path of a SQLite file. "" if
	// the shop has none.
	TableURL string
	// Destination is the name of the events' destination.
	Destination string
	// Schema is the PostgreSQL schema of River, Queue the queue of asynq and
	// Prefix that of the outbox table. "" is the default.
	Schema, Queue, Prefix string
}

// kind is what a URL addresses.
type kind int

const (
	kindSQLite kind = iota
	kindPostgreSQL
	kindMySQL
	kindRedis
)

// sourceName matches what is a data source name of go-sql-driver/mysql, and not a
// path.
var sourceName = regexp.MustCompile(`(^|@)(tcp|unix)\(`)

// AddressError describes an address or another option that no outbox can have. It
// does not contain the address, which may have a password.
type AddressError string

// Error returns the description.
func (e AddressError) Error() string { return string(e) }

// refused returns the error of a constructor as one of the options. Constructors do
// not connect.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return AddressError(err.Error())
}

// parse returns the kind of an address. Its error is an [AddressError].
func parse(address string) (kind, error) {
	scheme, _, ok := strings.Cut(address, "://")
	switch {
	case sourceName.MatchString(address):
		return kindMySQL, nil
	case !ok:
		return kindSQLite, nil
	}
	switch scheme {
	case "postgres", "postgresql":
		return kindPostgreSQL, nil
	case "mysql", "mariadb":
		return kindMySQL, nil
	case "redis", "rediss":
		return kindRedis, nil
	}
	return 0, AddressError("the address must begin with postgres://, mysql:// or redis://, or be the path of a SQLite file")
}

// Open opens an outbox. The caller closes it. Its error is an [AddressError] if
// the options are wrong.
func Open(ctx context.Context, o Options) (_ *Outbox, err error) {
	opened := new(Outbox)
	defer func() {
		if err != nil {
			opened.Close()
		}
	}()
	queue, err := opened.queue(o)
	if err != nil {
		return nil, err
	}
	opened.Outbox = queue
	if o.TableURL != "" {
		if opened.Outbox, err = opened.table(o, queue); err != nil {
			return nil, err
		}
	}
	// Nothing connects before this.
	if _, err := opened.Stats(ctx); err != nil {
		return nil, fmt.Errorf("the outbox cannot be read; check the address and that the shop has created its tables: %w", err)
	}
	return opened, nil
}

// Outbox is an open outbox.
type Outbox struct {
	outbox.Outbox
	// Others returns the names of the other destinations with events, and for asynq
	// those of the other queues. SharedBy is "destination" or "queue".
	Others   func(context.Context) ([]string, error)
	SharedBy string
	closers  []func()
}

// share sets Others to a list without own.
func (o *Outbox) share(by, own string, list func(context.Context) ([]string, error)) {
	o.SharedBy = by
	o.Others = func(ctx context.Context) ([]string, error) {
		names, err := list(ctx)
		slices.Sort(names)
		return slices.DeleteFunc(names, func(name string) bool {
			return name == own || by == "queue" && strings.HasSuffix(name, "-dead")
		}), err
	}
}

// Close closes the connections.
func (o *Outbox) Close() {
	for _, c := range o.closers {
		c()
	}
}

func (o *Outbox) queue(options Options) (outbox.Queue, error) {
	delivery := outbox.Config{Destination: outbox.Administration(options.Destination), Logger: slog.New(slog.DiscardHandler)}
	k, err := parse(options.URL)
	if err != nil {
		return nil, err
	}
	switch k {
	case kindPostgreSQL:
		pool, err := pgxpool.New(context.Background(), options.URL)
		if err != nil {
			return nil, AddressError("the address of PostgreSQL cannot be read; it must have the form postgres://user@host:5432/database")
		}
		o.closers = append(o.closers, pool.Close)
		ob, err := riveroutbox.New(riverpgxv5.New(pool), riveroutbox.Config{Delivery: delivery, Schema: options.Schema})
		o.share("destination", options.Destination, ob.Destinations)
		return ob, refused(err)
	case kindRedis:
		connection, err := redis.ParseURL(options.URL)
		if err != nil {
			return nil, AddressError("the address of Redis cannot be read; it must have the form redis://host:6379/0")
		}
		connection.ContextTimeoutEnabled = true
		connection.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // it logs on servers without them
		client := redis.NewClient(connection)
		o.closers = append(o.closers, func() { _ = client.Close() })
		ob, err := asynqoutbox.New(asynqoutbox.Config{Delivery: delivery, Redis: client, Queue: options.Queue, AcceptLoss: true})
		o.share("queue", cmp.Or(options.Queue, asynqoutbox.DefaultQueue), func(ctx context.Context) ([]string, error) {
			return client.SMembers(ctx, "asynq:queues").Result()
		})
		return ob, refused(err)
	case kindMySQL:
		return nil, AddressError("MySQL and MariaDB have the outbox table, but no queue; name them with -table, and the queue with -outbox")
	}
	db, err := openSQLite(options.URL)
	if err != nil {
		return nil, err
	}
	o.closers = append(o.closers, func() { _ = db.Close() })
	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{Delivery: delivery})
	o.share("destination", options.Destination, ob.Destinations)
	return ob, err
}

// openSQLite opens a file and changes none of its settings. A file that does not
// exist is not created.
func openSQLite(path string) (*sql.DB, error) {
	if sqldb.IsSQLiteURI(path) || sqldb.InMemory(path) {
		return nil, AddressError("the address of a SQLite file is its path, without file: and options")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the file %s does not exist", path)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a SQLite file", path)
	}
	db, err := sql.Open("sqlite", sqldb.SQLiteSource(path, url.Values{
		"mode": {"rw"}, "_pragma": {"busy_timeout(10000)"}, "_txlock": {"immediate"},
	}))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func (o *Outbox) table(options Options, queue outbox.Queue) (outbox.Outbox, error) {
	k, err := parse(options.TableURL)
	if err != nil {
		return nil, err
	}
	var (
		db       *sql.DB
		database outbox.Database
	)
	switch k {
	case kindPostgreSQL:
		database = outbox.DatabasePostgreSQL
		if db, err = sql.Open("pgx", options.TableURL); err != nil {
			return nil, AddressError("the address of the database with the outbox table cannot be read")
		}
	case kindMySQL:
		database = outbox.DatabaseMySQL
		source, err := mysqlSource(options.TableURL)
		if err != nil {
			return nil, err
		}
		if db, err = sql.Open("mysql", source); err != nil {
			return nil, AddressError("the address of the database with the outbox table cannot be read")
		}
	case kindSQLite:
		database = outbox.DatabaseSQLite
		if db, err = openSQLite(options.TableURL); err != nil {
			return nil, err
		}
	default:
		return nil, AddressError("the outbox table is in a SQL database, not in Redis")
	}
	o.closers = append(o.closers, func() { _ = db.Close() })
	table, err := outbox.NewTable(outbox.TableConfig{Database: database, Destination: outbox.Administration(options.Destination), Prefix: options.Prefix})
	if err != nil {
		return nil, refused(err)
	}
	return outbox.NewTableOutbox(queue, outbox.RelayConfig{DB: db, Table: table})
}

// mysqlSource returns the data source name of an address.
func mysqlSource(address string) (string, error) {
	unreadable := AddressError("the address of MySQL cannot be read; it must have the form mysql://user@host:3306/database or user@tcp(host:3306)/database")
	if sourceName.MatchString(address) {
		cfg, err := mysql.ParseDSN(address)
		if err != nil {
			return "", unreadable
		}
		cfg.ParseTime = true
		return cfg.FormatDSN(), nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || len(u.Path) < 2 {
		return "", unreadable
	}
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	cfg.ParseTime = true
	if u.Port() == "" {
		cfg.Addr += ":3306"
	}
	if u.Query().Get("tls") != "" {
		cfg.TLSConfig = u.Query().Get("tls")
	}
	return cfg.FormatDSN(), nil
}
