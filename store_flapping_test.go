package clickid_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/outagetest"
	"github.com/stretchr/testify/require"
)

// flappingStore is a memory store of which each third call fails: alternately before
// the call and after it, as when the response is lost.
type flappingStore struct {
	*clickid.MemoryStore
	stable                  atomic.Bool
	calls, failed, failSave atomic.Int64
}

// through calls f, and returns an error for each third call.
func (s *flappingStore) through(f func() error) error {
	if s.stable.Load() {
		return f()
	}
	switch s.calls.Add(1) % 6 {
	case 0:
		s.failed.Add(1)
		return errOutage
	case 3:
		s.failed.Add(1)
		_ = f()
		return errOutage
	}
	return f()
}

func (s *flappingStore) Save(ctx context.Context, c clickid.Click) (token string, err error) {
	err = s.through(func() error { token, err = s.MemoryStore.Save(ctx, c); return err })
	if err != nil {
		s.failSave.Add(1)
		return "", err
	}
	return token, nil
}

func (s *flappingStore) Load(ctx context.Context, token string) (c clickid.Click, err error) {
	err = s.through(func() error { c, err = s.MemoryStore.Load(ctx, token); return err })
	return c, err
}

func (s *flappingStore) Delete(ctx context.Context, token string) error {
	return s.through(func() error { return s.MemoryStore.Delete(ctx, token) })
}

func (s *flappingStore) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
	return s.through(func() error { return s.MemoryStore.Link(ctx, k, token, expires) })
}

func (s *flappingStore) Linked(ctx context.Context, k clickid.Key) (token string, err error) {
	err = s.through(func() error { token, err = s.MemoryStore.Linked(ctx, k); return err })
	return token, err
}

func (s *flappingStore) UnlinkToken(ctx context.Context, token string) error {
	return s.through(func() error { return s.MemoryStore.UnlinkToken(ctx, token) })
}

// flappingVisit is a visit to a shop with a flapping store.
type flappingVisit struct {
	cookies        []*http.Cookie
	id             string // of the click that the cookies lead to
	captured       int    // landings that set the cookie
	linked, erased bool
}

// visitFlapping lands, looks at pages, lands with another click, orders, and in part
// asks for an erasure.
func visitFlapping(t *testing.T, shop *outagetest.Shop, n int) (v flappingVisit) {
	land := func(id string) {
		landing := shop.Get(t, "/?clkid="+id, v.cookies...)
		if set := landing.Cookies(); len(set) > 0 {
			v.cookies, v.id = set, id
			v.captured++
		}
		if outagetest.ClickOf(landing) != id {
			t.Errorf("the landing of %s found %q", id, outagetest.ClickOf(landing))
		}
	}
	cart := func() {
		page := shop.Get(t, "/cart", v.cookies...)
		if found := outagetest.ClickOf(page); found != v.id && found != "" || outagetest.IsAbsent(page) && v.id != "" {
			t.Errorf("the visitor with the click %q found %q", v.id, found)
		}
	}
	land(fmt.Sprint("first-", n))
	for range 3 {
		cart()
	}
	land(fmt.Sprint("later-", n))
	cart()
	if v.id == "" {
		return v
	}
	v.linked = shop.Tracker.Link(shop.Visit(v.cookies), flappingOrder(n)) == nil
	if n%3 == 0 {
		token := v.cookies[0].Value
		v.erased = shop.Tracker.ForgetToken(context.Background(), token) == nil
	}
	return v
}

func flappingOrder(n int) clickid.Key { return clickid.OrderKey(fmt.Sprint("order-", n)) }

// TestStore_flapping has many visitors at once on a store of which some calls fail.
// The tracker's counts are those of the visitors, and what succeeded is there
// afterwards.
func TestStore_flapping(t *testing.T) {
	t.Parallel()
	for _, withFallback := range []bool{false, true} {
		t.Run(fmt.Sprint("fallback=", withFallback), func(t *testing.T) {
			t.Parallel()
			const visitors = 120
			flapping := &flappingStore{MemoryStore: clickid.NewMemoryStore()}
			var store clickid.Store = flapping
			if withFallback {
				store = newFallbackStore(t, flapping)
			}
			shop := outagetest.NewShop(t, clickid.Config{Store: store, StoreTimeout: time.Minute})
			visits := make([]flappingVisit, visitors)
			var group sync.WaitGroup
			for n := range visitors {
				group.Go(func() { visits[n] = visitFlapping(t, shop, n) })
			}
			group.Wait()

			captured, erased := 0, 0
			for _, v := range visits {
				captured += v.captured
				if v.erased {
					erased++
				}
			}
			failed, unsaved := int(flapping.failed.Load()), int(flapping.failSave.Load())
			require.Equal(t, captured, shop.Count(clickid.KindCaptured))
			require.NotZero(t, unsaved)
			require.NotZero(t, erased)
			if withFallback {
				require.Equal(t, 2*visitors, captured, "the fallback keeps each click")
				require.Equal(t, unsaved, shop.Count(clickid.KindFellBack))
				failed -= unsaved
			} else {
				require.Equal(t, 2*visitors, captured+unsaved, "a click is stored or reported")
			}
			require.Equal(t, failed, shop.Count(clickid.KindStoreError), "each failed call is reported once")

			flapping.stable.Store(true)
			shop.Failures()
			for n, v := range visits {
				page := shop.Get(t, "/cart", v.cookies...)
				order, err := shop.Tracker.Linked(context.Background(), flappingOrder(n))
				if v.erased {
					require.ErrorIs(t, err, clickid.ErrNotFound)
					_, err = shop.Tracker.Resolve(context.Background(), v.cookies[0].Value)
					require.ErrorIs(t, err, clickid.ErrNotFound)
					continue
				}
				if n%3 != 0 { // else an erasure may have done a part
					require.Equal(t, v.id, outagetest.ClickOf(page))
				}
				if v.linked && n%3 != 0 {
					require.NoError(t, err)
					require.Equal(t, v.id, order.ID)
				}
			}
			require.Empty(t, shop.Failures())
		})
	}
}
