package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/sqldb"
	sqlstore "github.com/clickid/clickid/store_sql"
)

// countedDB counts the statements that end with a transient error.
type countedDB struct {
	sqlstore.DB
	transient atomic.Int64
}

func (c *countedDB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result, err := c.DB.ExecContext(ctx, query, args...)
	if err != nil && sqldb.IsTransient(err) {
		c.transient.Add(1)
	}
	return result, err
}

// TestStore_concurrentVisitors has visitors who land, log in with a few shared
// accounts, order, and withdraw consent, while Purge runs.
func TestStore_concurrentVisitors(t *testing.T) {
	const (
		visitors  = 64
		rounds    = 8
		customers = 5
	)
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		s, db := d.store(t)
		counted := &countedDB{DB: db}
		s.Store = d.through(t, counted, s.prefix)
		s.fill(t, 3000, time.Now().Add(-time.Second))

		var start, done sync.WaitGroup
		start.Add(1)
		for n := range visitors {
			done.Add(1)
			go func() {
				defer done.Done()
				start.Wait()
				for round := range rounds {
					if err := visit(ctx, s, n, round, clickid.CustomerKey(fmt.Sprint(n%customers))); err != nil {
						t.Errorf("visitor %d, round %d: %v", n, round, err)
						return
					}
				}
			}()
		}
		purged := make(chan error, 1)
		go func() {
			start.Wait()
			_, err := s.Purge(ctx, 1_000_000)
			purged <- err
		}()
		start.Done()
		done.Wait()
		require.NoError(t, <-purged)

		// Every order of a visitor with consent is linked, and no other order.
		stayed := 0
		for n := range visitors {
			for round := range rounds {
				token, err := s.Linked(ctx, orderOf(n, round))
				if leaves(n, round) {
					require.ErrorIs(t, err, clickid.ErrNotFound)
					continue
				}
				require.NoError(t, err)
				c, err := s.Load(ctx, token)
				require.NoError(t, err)
				require.Equal(t, clickOf(n, round), c.ID)
				stayed++
			}
		}
		require.Equal(t, stayed, s.count(t, "clicks"))
		t.Logf("%d statements were repeated", counted.transient.Load())
	})
}

func clickOf(n, round int) string      { return fmt.Sprintf("visitor-%d-%d", n, round) }
func orderOf(n, round int) clickid.Key { return clickid.OrderKey(fmt.Sprint(n, "/", round)) }
func leaves(n, round int) bool         { return (n+round)%4 == 0 }

// visit runs a visitor's requests in the shop.
func visit(ctx context.Context, s *store, n, round int, customer clickid.Key) error {
	c := newClick(clickOf(n, round))
	token, err := s.Save(ctx, c)
	if err != nil {
		return err
	}
	keys := []clickid.Key{clickid.SessionKey(fmt.Sprint(n, "/", round)), customer, orderOf(n, round)}
	for _, k := range keys {
		if err := s.Link(ctx, k, token, c.Expires); err != nil {
			return err
		}
	}
	if got, err := s.Load(ctx, token); err != nil || got != c {
		return fmt.Errorf("Load returned another click than was saved, and the error %w", err)
	}
	if linked, err := s.Linked(ctx, keys[2]); err != nil || linked != token {
		return fmt.Errorf("Linked returned another token than was linked, and the error %w", err)
	}
	if err := s.Unlink(ctx, keys[0]); err != nil {
		return err
	}
	if leaves(n, round) {
		return s.Delete(ctx, token)
	}
	return nil
}

// TestStore_contendedLinks causes deadlocks by changing a few links by key, by
// token and by expiry at the same time.
func TestStore_contendedLinks(t *testing.T) {
	const visitors, rounds, keys, tokens = 64, 25, 12, 4
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		s, db := d.store(t)
		counted := &countedDB{DB: db}
		s.Store = d.through(t, counted, s.prefix)
		var done sync.WaitGroup
		for n := range visitors {
			done.Add(1)
			go func() {
				defer done.Done()
				random := rand.New(rand.NewPCG(1, uint64(n)))
				for range rounds {
					k, token := clickid.OrderKey(fmt.Sprint(random.IntN(keys))), fmt.Sprint("token", random.IntN(tokens))
					var err error
					switch random.IntN(6) {
					case 0, 1:
						err = s.Link(ctx, k, token, time.Now().Add(time.Second)) // expires during the test
					case 2:
						err = s.Link(ctx, k, token, time.Now().Add(time.Hour))
					case 3:
						err = s.UnlinkToken(ctx, token)
					case 4:
						err = s.Unlink(ctx, k)
					case 5:
						_, err = s.Purge(ctx, 5)
					}
					if err != nil {
						t.Error(err)
					}
				}
			}()
		}
		done.Wait()
		t.Logf("%d statements were repeated", counted.transient.Load())
	})
}
