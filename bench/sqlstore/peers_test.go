package sqlstore_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/mysqlstore"
	"github.com/alexedwards/scs/postgresstore"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	sqlstore "github.com/clickid/clickid/store_sql"
)

func TestMain(m *testing.M) { os.Exit(ratio.Main(m)) }

// peer is a session store of scs for a database.
type peer struct {
	schema []string
	open   func(*sql.DB) scs.Store
	expiry func(time.Time) any
}

var peers = map[sqlstore.Database]peer{
	sqlstore.DatabasePostgreSQL: {
		[]string{"CREATE TABLE sessions (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL)", "CREATE INDEX sessions_expiry_idx ON sessions (expiry)"},
		func(db *sql.DB) scs.Store { return postgresstore.NewWithCleanupInterval(db, 0) },
		func(t time.Time) any { return t },
	},
	sqlstore.DatabaseMySQL: {
		[]string{"CREATE TABLE sessions (token CHAR(43) PRIMARY KEY, data BLOB NOT NULL, expiry TIMESTAMP(6) NOT NULL)", "CREATE INDEX sessions_expiry_idx ON sessions (expiry)"},
		func(db *sql.DB) scs.Store { return mysqlstore.NewWithCleanupInterval(db, 0) },
		func(t time.Time) any { return t.UTC() },
	},
	sqlstore.DatabaseSQLite: {
		[]string{"CREATE TABLE sessions (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL)", "CREATE INDEX sessions_expiry_idx ON sessions (expiry)"},
		func(db *sql.DB) scs.Store { return sqlite3store.NewWithCleanupInterval(db, 0) },
		func(t time.Time) any { return float64(t.Unix())/86400 + 2440587.5 }, // julianday
	},
}

func BenchmarkPeerPostgreSQL(b *testing.B) { benchmarkPeer(b, startPostgres) }

func BenchmarkPeerMariaDB(b *testing.B) { benchmarkPeer(b, startMariaDB) }

func BenchmarkPeerSQLite(b *testing.B) { benchmarkPeer(b, openSQLite) }

// benchmarkPeer compares the store with that of scs on the same server, with the
// same number of rows. Clicks and sessions of any age are loaded.
func benchmarkPeer(b *testing.B, start func(*testing.B) database) {
	if *links == 0 {
		*links = *clicks / 10
	}
	ctx, now := context.Background(), time.Now()
	d := start(b)
	store := newStore(b, d, d.DB)
	failOn(b, store.Migrate(ctx, d.DB))
	load(b, d, now)
	p := peers[d.kind]
	for _, statement := range p.schema {
		_, err := d.Exec(statement)
		failOn(b, err)
	}
	session := make([]byte, 120) // a few values in gob
	row := func(i int) []any {
		return []any{sessionToken(i), session, p.expiry(now.Add(clickid.DefaultTTL))}
	}
	fill := insertRows
	if d.kind == sqlstore.DatabasePostgreSQL {
		fill = copyRows
	}
	fill(b, d, "sessions", []string{"token", "data", "expiry"}, *clicks, row)
	d.analyze(b)
	theirs := p.open(d.DB)

	var number atomic.Int64
	number.Store(int64(*clicks))
	check := func(err error) {
		if err != nil {
			b.Error(err)
		}
	}
	saveTheirs := func() {
		check(theirs.Commit(sessionToken(int(number.Add(1))), session, now.Add(clickid.DefaultTTL)))
	}
	loadTheirs := func() {
		if _, found, err := theirs.Find(sessionToken(rand.IntN(*clicks))); err != nil || !found {
			b.Errorf("found: %v, %v", found, err)
		}
	}
	save := func() {
		_, err := store.Save(ctx, clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now, Expires: now.Add(clickid.DefaultTTL)})
		check(err)
	}
	find := func() {
		_, err := store.Load(ctx, anyToken())
		check(err)
	}
	for _, visitors := range []int{1, 32} {
		name := map[int]string{1: "one visitor", 32: "32 visitors"}[visitors]
		b.Run(name, func(b *testing.B) {
			ratio.Compare(b,
				ratio.Variant{Name: "scs save", Run: ratio.AtOnce(visitors, saveTheirs)},
				ratio.Variant{Name: "save", Run: ratio.AtOnce(visitors, save)},
				ratio.Variant{Name: "scs load", Run: ratio.AtOnce(visitors, loadTheirs)},
				ratio.Variant{Name: "load", Run: ratio.AtOnce(visitors, find)})
		})
	}
}

// anyToken returns the token of a loaded click that has not expired.
func anyToken() string {
	expired := *clicks/5 + *clicks/100 + 1 // and those that expire soon
	return tokenOf(expired + rand.IntN(*clicks-expired))
}

// sessionToken returns a token of scs.
func sessionToken(i int) string {
	random := digest("session", i)
	return base64.RawURLEncoding.EncodeToString(random[:])
}
