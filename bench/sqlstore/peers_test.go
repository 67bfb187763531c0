package sqlstore_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/mysqlstore"
	"github.com/alexedwards/scs/postgresstore"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/internal/reference"
	"github.com/clickid/clickid/internal/sqldb"
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

// session is a record of scs: a few values in gob.
var session = make([]byte, 120)

// benchmarkPeer compares the store with that of scs on the same server, with the
// same number of rows, whose expiries are spread in the same way. The rows are
// loaded in the order of their primary keys, several times as fast as in that of
// their expiry.
func benchmarkPeer(b *testing.B, start func(*testing.B) database) {
	ctx, now := context.Background(), time.Now()
	d := start(b)
	store := newStore(b, d, d.DB)
	failOn(b, store.Migrate(ctx, d.DB))
	p := peers[d.kind]
	for _, statement := range p.schema {
		_, err := d.Exec(statement)
		failOn(b, err)
	}
	began := time.Now()
	sorted := sortedBy(*clicks, func(i int) uint64 {
		hash := reference.Hash(tokenOf(i))
		return binary.BigEndian.Uint64(hash[:])
	})
	d.fill(b, clickTable(now), func(i int) int { return int(sorted[i]) })
	// base64 has another order than the bytes, but equal beginnings stay together.
	sorted = sortedBy(*clicks, func(i int) uint64 {
		random := digest("session", i)
		return binary.BigEndian.Uint64(random[:])
	})
	sessions := table{"sessions", []string{"token", "data", "expiry"}, *clicks, func(i int) []any {
		return []any{sessionToken(i), session, p.expiry(expiryOf(i, *clicks, now))}
	}}
	d.fill(b, sessions, func(i int) int { return int(sorted[i]) })
	d.analyze(b)
	b.Logf("loaded %d clicks and sessions in %v", *clicks, time.Since(began).Round(time.Second))
	comparePeer(b, d.name(), store, anyToken, withoutContext{p.open(d.DB)})
}

// sortedBy returns the numbers of n rows in the order of their keys.
func sortedBy(n int, key func(i int) uint64) []int32 {
	type row struct {
		key uint64
		n   int32
	}
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{key(i), int32(i)}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.key, b.key) })
	numbers := make([]int32, n)
	for i := range rows {
		numbers[i] = rows[i].n
	}
	return numbers
}

// peerStore is a session store of scs.
type peerStore interface {
	CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error
	FindCtx(ctx context.Context, token string) (data []byte, found bool, err error)
}

// withoutContext is a store of scs that knows no contexts.
type withoutContext struct{ scs.Store }

func (s withoutContext) CommitCtx(_ context.Context, token string, data []byte, expiry time.Time) error {
	return s.Commit(token, data, expiry)
}

func (s withoutContext) FindCtx(_ context.Context, token string) ([]byte, bool, error) {
	return s.Find(token)
}

// peerTable has the figures of all servers.
var peerTable = ratio.NewTable("Peer", 1, "", "time ÷ scs", "clickid, median", "clickid, 99 %", "scs, median", "scs, 99 %")

// comparePeer compares a store with one of scs. token returns the token of any
// loaded click; all loaded sessions that have not expired are read.
func comparePeer(b *testing.B, server string, store clickid.Store, token func() string, theirs peerStore) {
	ctx, now := context.Background(), time.Now()
	var number atomic.Int64
	number.Store(int64(*clicks))
	check := func(what string, err error) {
		if err != nil {
			b.Errorf("%s: %v", what, err)
		}
	}
	actions := []struct {
		name         string
		theirs, ours func()
	}{
		{"save", func() {
			token := sessionToken(int(number.Add(1)))
			// The store of scs does not repeat a statement that SQLite refuses as busy.
			check("scs save", sqldb.Repeat(ctx, func() error {
				return theirs.CommitCtx(ctx, token, session, now.Add(clickid.DefaultTTL))
			}))
		}, func() {
			_, err := store.Save(ctx, clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now, Expires: now.Add(clickid.DefaultTTL)})
			check("save", err)
		}},
		{"load", func() {
			if _, found, err := theirs.FindCtx(ctx, sessionToken(anyRow())); err != nil || !found {
				b.Errorf("found: %v, %v", found, err)
			}
		}, func() {
			_, err := store.Load(ctx, token())
			check("load", err)
		}},
	}
	for _, action := range actions {
		for _, visitors := range []int{1, 32} {
			name := action.name
			if visitors > 1 {
				name += fmt.Sprintf(", %d at once", visitors)
			}
			b.Run(name, func(b *testing.B) {
				r := ratio.Measure(b, ratio.Calls("scs", visitors, action.theirs), ratio.Calls("clickid", visitors, action.ours))
				peerTable.Row(server+", "+name, r[1].TimeOver(r[0]), r[1].Call(50), r[1].Call(99), r[0].Call(50), r[0].Call(99))
			})
		}
	}
}

// anyRow returns the number of a loaded row that has not expired.
func anyRow() int {
	expired := *clicks/5 + *clicks/100 + 1 // and those that expire soon
	return expired + rand.IntN(*clicks-expired)
}

// anyToken returns the token of such a click.
func anyToken() string { return tokenOf(anyRow()) }

// sessionToken returns a token of scs.
func sessionToken(i int) string {
	random := digest("session", i)
	return base64.RawURLEncoding.EncodeToString(random[:])
}
