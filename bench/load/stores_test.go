package load_test

import (
	"bytes"
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	redisstore "github.com/clickid/clickid/store_redis"
	sqlstore "github.com/clickid/clickid/store_sql"
	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	_ "modernc.org/sqlite"
)

// stores are the measured stores, each with its records empty.
var stores = []struct {
	name string
	open func(t *testing.T) clickid.Store
}{
	{"cookie", openCookie},
	{"memory", func(*testing.T) clickid.Store { return clickid.NewMemoryStore() }},
	{"redis", openRedis},
	{"postgres", func(t *testing.T) clickid.Store {
		return openSQL(t, "pgx", testserver.Postgres(t), sqlstore.DatabasePostgreSQL)
	}},
	{"mariadb", func(t *testing.T) clickid.Store {
		return openSQL(t, "mysql", testserver.MySQL(t), sqlstore.DatabaseMySQL)
	}},
	{"sqlite", func(t *testing.T) clickid.Store {
		return openSQL(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "clicks.db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)", sqlstore.DatabaseSQLite)
	}},
}

func openCookie(t *testing.T) clickid.Store {
	t.Helper()
	store, err := clickid.NewCookieStore(bytes.Repeat([]byte("k"), clickid.MinCookieKeyLength))
	failOn(t, err)
	return store
}

func openRedis(t *testing.T) clickid.Store {
	t.Helper()
	options, err := redis.ParseURL(testserver.Redis(t))
	failOn(t, err)
	options.ContextTimeoutEnabled = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // it logs on servers without them
	client := redis.NewClient(options)
	prefix := testserver.Name() + ":"
	t.Cleanup(func() {
		for keys := client.Scan(context.Background(), 0, prefix+"*", 1000).Iterator(); keys.Next(context.Background()); {
			client.Del(context.Background(), keys.Val())
		}
		_ = client.Close()
	})
	failOn(t, client.Ping(context.Background()).Err())
	store, err := redisstore.New(redisstore.Config{Client: client, Prefix: prefix})
	failOn(t, err)
	return store
}

func openSQL(t *testing.T, driver, dsn string, kind sqlstore.Database) clickid.Store {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	failOn(t, err)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(*connections)
	db.SetMaxIdleConns(*connections)
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: kind})
	failOn(t, err)
	failOn(t, store.Migrate(context.Background(), db))
	return store
}
