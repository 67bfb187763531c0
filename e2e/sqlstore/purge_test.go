package sqlstore_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sqlstore "github.com/clickid/clickid/store_sql"
)

func TestPurge(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		s, _ := d.store(t)
		now := time.Unix(time.Now().Unix(), 0)

		purged, err := s.Purge(ctx, 1)
		require.NoError(t, err)
		require.Zero(t, purged, "empty tables")

		s.fill(t, 2500, now)                     // expired, the last one now
		s.fill(t, 1, now.Add(time.Hour))         // not expired
		s.fill(t, 700, now.Add(30*24*time.Hour)) // not expired for 30 days

		// Purge begins with the rows that expired first.
		purged, err = s.Purge(ctx, 300)
		require.NoError(t, err)
		require.Equal(t, 300, purged)
		require.Equal(t, 2500-300+701, s.count(t, "clicks WHERE expires_at > "+d.time(now.Add(-(2500-300)*time.Second))))

		// More than a batch, clicks and links.
		purged, err = s.Purge(ctx, 2300)
		require.NoError(t, err)
		require.Equal(t, 2300, purged)
		require.Equal(t, 701, s.count(t, "clicks"))
		require.Equal(t, 701+2400, s.count(t, "links"))

		purged, err = s.Purge(ctx, 1_000_000)
		require.NoError(t, err)
		require.Equal(t, 2400, purged)
		require.Equal(t, 701, s.count(t, "clicks"))
		require.Equal(t, 701, s.count(t, "links"))

		purged, err = s.Purge(ctx, 1_000_000)
		require.NoError(t, err)
		require.Zero(t, purged)

		for _, limit := range []int{0, -1} {
			_, err = s.Purge(ctx, limit)
			require.ErrorContains(t, err, "at least 1")
		}
	})
}

func TestPurge_sameSecond(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		s, db := d.store(t)
		now := time.Now()
		s.fill(t, 2200, now.Add(-time.Second))
		column := "UPDATE clickid_clicks SET expires_at = (SELECT MAX(expires_at) FROM (SELECT expires_at FROM clickid_clicks) AS x)"
		_, err := db.Exec(column)
		require.NoError(t, err)
		purged, err := s.Purge(context.Background(), 10_000)
		require.NoError(t, err)
		require.Equal(t, 4400, purged)
	})
}

func TestPurge_concurrentInstances(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		s, db := d.store(t)
		const rows = 6000
		s.fill(t, rows, time.Now().Add(-time.Second))
		s.fill(t, 10, time.Now().Add(time.Hour))

		const instances = 4
		purged, errs := make([]int, instances), make([]error, instances)
		var done sync.WaitGroup
		for i := range instances {
			done.Add(1)
			go func() {
				defer done.Done()
				purged[i], errs[i] = d.newStore(t, db).Purge(ctx, 2*rows)
			}()
		}
		// Visitors land meanwhile.
		for range 50 {
			token, err := s.Save(ctx, newClick("01ARZ3NDEKTSV4RRFFQ69G5FAV"))
			require.NoError(t, err)
			_, err = s.Load(ctx, token)
			require.NoError(t, err)
		}
		done.Wait()
		total := 0
		for i := range instances {
			require.NoError(t, errs[i])
			total += purged[i]
		}
		require.Equal(t, 2*rows, total)
		require.Equal(t, 60, s.count(t, "clicks"))
		require.Equal(t, 10, s.count(t, "links"))
	})
}

func TestPurge_canceled(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		s, db := d.store(t)
		s.fill(t, 3000, time.Now().Add(-time.Second))
		ctx, cancel := context.WithCancel(context.Background())
		// The context ends while the first batch is deleted.
		s.Store = d.through(t, &afterExec{DB: db, then: cancel}, s.prefix)
		purged, err := s.Purge(ctx, 10_000)
		require.ErrorIs(t, err, context.Canceled)
		batch := 1000
		if d.database == sqlstore.DatabaseSQLite {
			batch = 100
		}
		require.Equal(t, batch, purged)
		require.Equal(t, 3000-batch, s.count(t, "clicks"))
	})
}

// afterExec calls then after each statement that writes.
type afterExec struct {
	sqlstore.DB
	then func()
}

func (a *afterExec) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	defer a.then()
	return a.DB.ExecContext(ctx, query, args...)
}

func TestPurgeEvery(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		s, db := d.store(t)
		s.fill(t, 10, time.Now().Add(-time.Second))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		type round struct {
			purged int
			err    error
		}
		rounds, ended := make(chan round), make(chan error)
		go func() {
			ended <- s.PurgeEvery(ctx, time.Second, func(purged int, err error) {
				select {
				case rounds <- round{purged, err}:
				case <-ctx.Done():
				}
			})
		}()
		until := func(what string, condition func(round) bool) {
			for range 60 {
				if condition(<-rounds) {
					return
				}
			}
			require.Fail(t, "not within 60 rounds: "+what)
		}
		require.Equal(t, round{20, nil}, <-rounds, "first round")
		s.fill(t, 5, time.Now().Add(-time.Second))
		purged := 0 // a round can come between the clicks and the links
		until("next round", func(r round) bool { purged += r.purged; return purged == 10 })

		// After an error, the next round tries again.
		_, err := db.Exec("ALTER TABLE clickid_links RENAME TO clickid_renamed")
		require.NoError(t, err)
		until("failing round", func(r round) bool { return r.err != nil })
		_, err = db.Exec("ALTER TABLE clickid_renamed RENAME TO clickid_links")
		require.NoError(t, err)
		until("round after the error", func(r round) bool { return r.err == nil })

		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}
