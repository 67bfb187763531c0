// Package sqlstore_test measures the SQL store with millions of clicks:
//
//	go test ./bench/sqlstore -run '^$' -bench . -timeout 2h -clicks 5000000
//
// Each database is a private server, or a file, with durable commits. The tables
// have the bytes per click, and the latencies of saving and loading in empty
// tables, in full tables and while a fifth of the clicks is purged. In full tables,
// clicks of any age are loaded. With -v, a report has the plans of the store's
// statements.
package sqlstore_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/bench/internal/ratio"
	"github.com/clickid/clickid/bench/internal/redismemory"
	"github.com/clickid/clickid/internal/testserver"
	redisstore "github.com/clickid/clickid/store_redis"
	sqlstore "github.com/clickid/clickid/store_sql"
)

var (
	clicks = flag.Int("clicks", 50_000, "clicks to load; a fifth of them has expired")
	links  = flag.Int("links", 0, "links to load, of which a fifth has expired; a tenth of the clicks by default")
	phase  = flag.Duration("phase", 10*time.Second, "how long each phase of visits is measured")
	memory = flag.String("memory", "1G", "shared buffers of PostgreSQL, and buffer pool of MariaDB")
	rate   = flag.Int("rate", 400, "visits a second, each of which saves one click and loads it")
)

func BenchmarkPostgreSQL(b *testing.B) { benchmark(b, startPostgres) }

func BenchmarkMariaDB(b *testing.B) { benchmark(b, startMariaDB) }

func BenchmarkSQLite(b *testing.B) { benchmark(b, openSQLite) }

// The tables of all databases.
var (
	byteTable  = ratio.NewTable("Bytes", 1, "", "bytes per click", "bytes per link")
	speedTable = ratio.NewTable("Speed", 2, "", "", "save ÷ that in empty tables", "load ÷ that in empty tables",
		"save, median", "save, 99 %", "load, median", "load, 99 %")
	purgeTable = ratio.NewTable("Purging", 1, "", "rows a second, pauses included", "one statement, median", "99 %", "longest")
)

// countLinks sets the default of -links.
func countLinks() {
	if *links == 0 {
		*links = *clicks / 10
	}
}

// benchmark fills, measures and purges a database once.
func benchmark(b *testing.B, start func(*testing.B) database) {
	countLinks()
	ctx := context.Background()
	d := start(b)
	store := newStore(b, d, d.DB)
	if err := store.Migrate(ctx, d.DB); err != nil {
		b.Fatal(err)
	}
	report := &strings.Builder{}
	say := func(format string, args ...any) { fmt.Fprintf(report, format+"\n", args...) }
	defer func() { b.Log("\n" + report.String()) }()
	say("%s, %d CPUs, %s/%s", d.version(b), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)

	empty := visitAtRate(b, store, untilTime(*phase), nil)
	say("empty tables:        %v", empty)

	began := time.Now()
	now := time.Now()
	load(b, d, now)
	loaded := time.Since(began)
	say("loaded %d clicks and %d links in %v, %.0f rows/s", *clicks, *links, loaded.Round(time.Second), float64(*clicks+*links)/loaded.Seconds())
	d.analyze(b)
	clickBytes, linkBytes := d.sizes(b, say)
	byteTable.Row(d.name(), clickBytes/float64(*clicks), linkBytes/float64(*links))

	explainAll(b, d, say)

	full := visitAtRate(b, store, untilTime(*phase), anyToken)
	say("full tables:         %v", full)

	expired := *clicks/5 + *links/5
	steps := &timedDB{DB: d.DB}
	purged := newStore(b, d, steps)
	done := make(chan struct{})
	began = time.Now()
	go func() {
		defer close(done)
		if n, err := purged.Purge(ctx, expired); err != nil || n != expired {
			b.Errorf("the purge deleted %d of %d rows and returned %v", n, expired, err)
		}
	}()
	during := visitAtRate(b, store, done, anyToken)
	took := time.Since(began)
	say("while purging:       %v", during)
	say("purged %d rows in %v, %.0f rows/s, in %d statements: %v", expired, took.Round(time.Millisecond), float64(expired)/took.Seconds(), len(steps.took.all), &steps.took)
	for _, phase := range []struct {
		name string
		*visits
	}{{"empty", empty}, {ratio.Number(float64(*clicks)), full}, {"purging", during}} {
		speedTable.Row(d.name(), phase.name, over(phase.save.percentile(50), empty.save.percentile(50)), over(phase.load.percentile(50), empty.load.percentile(50)),
			phase.save.percentile(50), phase.save.percentile(99), phase.load.percentile(50), phase.load.percentile(99))
	}
	purgeTable.Row(d.name(), float64(expired)/took.Seconds(), steps.took.percentile(50), steps.took.percentile(99), steps.took.percentile(100))
	b.ReportMetric(0, "ns/op") // the time of the whole pass has no meaning
}

// BenchmarkRedis measures the memory of clicks and links, each on a private server:
// the growth of the server, with its index of keys and expiries, and the records
// without it. The index doubles from time to time, and its share is realistic only
// with a million records.
func BenchmarkRedis(b *testing.B) {
	countLinks()
	ctx, expires := context.Background(), time.Now().Add(clickid.DefaultTTL)
	fill := func(n int, add func(store *redisstore.Store, i int) error) (server, records float64) {
		options, err := redis.ParseURL(testserver.StartRedis(b, "--appendonly", "no").DSN())
		failOn(b, err)
		options.ContextTimeoutEnabled = true
		options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled} // it logs on servers without them
		client := redis.NewClient(options)
		defer func() { _ = client.Close() }()
		store, err := redisstore.New(redisstore.Config{Client: client})
		failOn(b, err)
		empty := redismemory.Used(b, client)
		for i := range n {
			failOn(b, add(store, i))
		}
		server = float64(redismemory.Used(b, client)-empty) / float64(n)
		keys, _, err := client.Scan(ctx, 0, "*", 1000).Result()
		failOn(b, err)
		for _, key := range keys {
			records += float64(client.MemoryUsage(ctx, key).Val()) / float64(len(keys))
		}
		return server, records * float64(client.DBSize(ctx).Val()) / float64(n)
	}
	link := func(token func(i int) string) func(*redisstore.Store, int) error {
		return func(store *redisstore.Store, i int) error {
			return store.Link(ctx, clickid.OrderKey(fmt.Sprint(i)), token(i), expires)
		}
	}
	click, clickRecord := fill(*clicks, func(store *redisstore.Store, _ int) error {
		_, err := store.Save(ctx, clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: time.Now(), Expires: expires})
		return err
	})
	toCookie, toCookieRecord := fill(*links, link(func(i int) string { return fmt.Sprintf("%0140d", i) }))
	toStore, _ := fill(*links, link(tokenOf))
	byteTable.Row("Redis, growth of the server's memory", click, toCookie)
	byteTable.Row("Redis, `MEMORY USAGE` of the records", clickRecord, toCookieRecord)
	b.ReportMetric(toCookie-toStore, "B/link-less-with-tokens-of-the-store")
	b.ReportMetric(0, "ns/op")
}

func newStore(b *testing.B, d database, db sqlstore.DB) *sqlstore.Store {
	b.Helper()
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: d.kind})
	if err != nil {
		b.Fatal(err)
	}
	return store
}

// visits are the latencies of one phase.
type visits struct{ save, load latencies }

func (v *visits) String() string { return fmt.Sprintf("save %v; load %v", &v.save, &v.load) }

// visitAtRate has visitors at the given rate until done is closed. Each lands, and
// one opens another page: the one of a token that token returns, or the same
// visitor if token is nil.
func visitAtRate(b *testing.B, store *sqlstore.Store, done <-chan struct{}, token func() string) *visits {
	b.Helper()
	const workers = 8
	var v visits
	var working sync.WaitGroup
	arrivals := make(chan struct{}, workers)
	for range workers {
		working.Add(1)
		go func() {
			defer working.Done()
			for range arrivals {
				if err := v.visit(store, token); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	ticker := time.NewTicker(time.Second / time.Duration(*rate))
	defer ticker.Stop()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-ticker.C:
			arrivals <- struct{}{}
		}
	}
	close(arrivals)
	working.Wait()
	return &v
}

func (v *visits) visit(store *sqlstore.Store, other func() string) error {
	ctx := context.Background()
	now := time.Now()
	start := time.Now()
	token, err := store.Save(ctx, clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now, Expires: now.Add(clickid.DefaultTTL)})
	if err != nil {
		return err
	}
	v.save.add(time.Since(start))
	if other != nil {
		token = other()
	}
	start = time.Now()
	_, err = store.Load(ctx, token)
	v.load.add(time.Since(start))
	return err
}

func untilTime(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}

// explainAll reports the plan of each statement of the store and fails when one
// reads a whole table.
func explainAll(b *testing.B, d database, say func(string, ...any)) {
	b.Helper()
	ctx := context.Background()
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // the explained statements change nothing
	explained := map[string]bool{}
	store := newStore(b, d, explainedDB{tx, func(query string, args []any) {
		if explained[query] || strings.HasPrefix(query, "INSERT") {
			return
		}
		explained[query] = true
		plan := d.explain(b, tx, query, args)
		say("%s\n%s", query, plan)
		// A planner reads a small table as a whole.
		if *links >= 10_000 && d.readsAll(plan) {
			b.Errorf("the statement reads the whole table:\n%s\n%s", query, plan)
		}
	}})
	token, order := tokenOf(*clicks-1), clickid.OrderKey(fmt.Sprint(*links-1))
	_, err = store.Load(ctx, token)
	failOn(b, err)
	_, err = store.Linked(ctx, order)
	failOn(b, err)
	failOn(b, store.Unlink(ctx, order))
	failOn(b, store.Delete(ctx, token))
	_, err = store.Purge(ctx, 1000) // reaches the clicks
	failOn(b, err)
}

func failOn(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// explainedDB passes each statement to a function before it runs.
type explainedDB struct {
	sqlstore.DB
	explain func(query string, args []any)
}

func (e explainedDB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	e.explain(query, args)
	return e.DB.ExecContext(ctx, query, args...)
}

func (e explainedDB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	e.explain(query, args)
	return e.DB.QueryContext(ctx, query, args...)
}

// timedDB measures the statements that write. Each commits by itself, so this is
// how long it holds its locks.
type timedDB struct {
	sqlstore.DB
	took latencies
}

func (t *timedDB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	start := time.Now()
	defer func() { t.took.add(time.Since(start)) }()
	return t.DB.ExecContext(ctx, query, args...)
}

func openSQLite(b *testing.B) database {
	db, err := sqlstore.OpenSQLite("sqlite", filepath.Join(b.TempDir(), "clicks.db"))
	failOn(b, err)
	b.Cleanup(func() { _ = db.Close() })
	return database{db, sqlstore.DatabaseSQLite}
}

func startPostgres(b *testing.B) database {
	server := testserver.StartPostgres(b)
	server.Restart("-c", "fsync=on", "-c", "full_page_writes=on", "-c", "shared_buffers="+*memory+"B", "-c", "max_wal_size=4GB")
	return open(b, sqlstore.DatabasePostgreSQL, "pgx", server.DSN())
}

func startMariaDB(b *testing.B) database {
	server := testserver.StartMariaDB(b)
	server.Restart("--innodb-flush-log-at-trx-commit=1", "--innodb-log-file-size=1G", "--innodb-buffer-pool-size="+*memory)
	return open(b, sqlstore.DatabaseMySQL, "mysql", server.DSN()+"?interpolateParams=true")
}
