//go:build go1.25

package clickid_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// atEventTime runs test under a clock of its own, which moves only while
// everything waits, so that times are exact on any machine.
func atEventTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(eventTime))
		test(t)
	})
}

func TestConvert_deadline(t *testing.T) {
	for name, tt := range map[string]struct {
		own     time.Duration // of the context; 0 for no deadline
		options []clickid.ConvertOption
		want    time.Duration
	}{
		"of ten seconds by default":             {0, nil, 10 * time.Second},
		"as it is told":                         {0, []clickid.ConvertOption{clickid.ConvertTimeout(3 * time.Second)}, 3 * time.Second},
		"longer, when told":                     {0, []clickid.ConvertOption{clickid.ConvertTimeout(time.Minute)}, time.Minute},
		"the context's own when that is sooner": {time.Second, nil, time.Second},
		"its own when that is sooner":           {time.Hour, nil, 10 * time.Second},
		"the default instead of none":           {0, []clickid.ConvertOption{clickid.ConvertTimeout(0)}, 10 * time.Second},
		"the default instead of a negative":     {0, []clickid.ConvertOption{clickid.ConvertTimeout(-1)}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			atEventTime(t, func(t *testing.T) {
				ctx := context.Background()
				if tt.own > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.own)
					defer cancel()
				}
				q := &queue{}
				_, err := clickid.Convert(ctx, q, purchase("1"), tt.options...)
				require.NoError(t, err)
				require.Equal(t, tt.want, time.Until(q.deadline))
			})
		})
	}
}

func TestConvert_deadlineExceeded(t *testing.T) {
	atEventTime(t, func(t *testing.T) {
		p := &platformtest.Platform{}
		p.Respond = func(n int, _ []byte) (*http.Response, error) {
			<-p.Requests[n].Context().Done() // a platform that never responds
			return nil, p.Requests[n].Context().Err()
		}
		result, err := clickid.Convert(context.Background(), newClient(t, p, ecapi), purchase("1"), clickid.ConvertTimeout(3*time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, clickid.VerdictFailed, result.Verdict)
		require.Equal(t, 3*time.Second, time.Since(eventTime))
	})
}

func TestConvert_retryAfter(t *testing.T) {
	for name, respond := range map[string]func() (*http.Response, error){
		"in the header": platformtest.Reply(429, `{}`, "Retry-After: 3600"),
		"in the body":   platformtest.Reply(429, `{"errors":[{"code":"RATE_LIMITED","retry_after":3600}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			atEventTime(t, func(t *testing.T) {
				p := platformtest.Responding(respond)
				_, err := clickid.Convert(context.Background(), newClient(t, p, ecapi), purchase("1"))
				var refusal *capi.ResponseError
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, time.Hour, refusal.RetryAfter())
				require.Equal(t, clickid.SendErrorTemporary, refusal.Kind())
				require.Equal(t, 1, p.Count())
				require.Zero(t, time.Since(eventTime))
			})
		})
	}
}

func TestConvert_lookupDeadline(t *testing.T) {
	atEventTime(t, func(t *testing.T) {
		inner := newCookieStore(t, firstKey)
		clickid.SetStoreNow(inner, func() time.Time { return startOfTest })
		s := newSite(t, clickid.Config{Store: &hangingStore{Store: inner}, StoreTimeout: time.Hour})
		v := s.visitor()
		v.cookies = []*http.Cookie{{Name: "__Host-clkid", Value: newTokenOf(t, newCookieStore(t, firstKey), "abc")}}
		_, err := clickid.Convert(v.get("/checkout").ctx, newClient(t, platformtest.Responding(platformtest.OK()), ecapi), order("1"), clickid.ConvertTimeout(3*time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(eventTime))
	})
}

// staySilent is a server that accepts connections and does not respond.
func staySilent(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestConvert_primaryOutage(t *testing.T) {
	for name, row := range map[string]struct {
		outage func(context.Context) error
		cause  string
	}{
		"it refuses":      {refuseConnections, errOutage.Error()},
		"it is silent":    {staySilent, context.DeadlineExceeded.Error()},
		"it has a defect": {func(context.Context) error { panic("no such table") }, "the store panicked"},
	} {
		t.Run(name, func(t *testing.T) {
			atEventTime(t, func(t *testing.T) {
				primary := &flakyStore{MemoryStore: clickid.NewMemoryStore(), outage: row.outage}
				store := newFallbackStore(t, primary)
				var observed []clickid.Observation
				tracker := newTracker(t, clickid.Config{Store: store, Hook: func(_ context.Context, o clickid.Observation) {
					observed = append(observed, o)
				}})

				var linkErr error
				order := clickid.OrderKey("42")
				shop := tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					c, err := clickid.Lookup(r.Context())
					require.NoError(t, err)
					require.Equal(t, documentedID, c.ID)
					linkErr = tracker.Link(r.Context(), order)
				}))
				landing := httptest.NewRecorder()
				shop.ServeHTTP(landing, httptest.NewRequest("GET", "/?clkid="+documentedID, nil))
				require.LessOrEqual(t, time.Since(eventTime), clickid.DefaultStoreTimeout*3/4, "the fallback has its time")
				require.NoError(t, linkErr)
				require.Len(t, observed, 2)
				require.Equal(t, clickid.KindFellBack, observed[0].Kind)
				require.Equal(t, "clkid", observed[0].Param)
				require.ErrorContains(t, observed[0].Err, row.cause)
				require.Equal(t, clickid.KindCaptured, observed[1].Kind)
				require.Len(t, landing.Result().Cookies(), 1)
				cookie := landing.Result().Cookies()[0]

				nextPage := httptest.NewRequest("GET", "/checkout", nil)
				nextPage.AddCookie(cookie)
				shop.ServeHTTP(httptest.NewRecorder(), nextPage)

				// The fallback's token remains valid when the primary is back.
				primary.outage = nil
				c, err := tracker.Linked(context.Background(), order)
				require.NoError(t, err)
				require.Equal(t, documentedID, c.ID)
				observed = nil
				shop.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?clkid="+documentedID, nil))
				require.Len(t, observed, 1, "the primary takes clicks again")
				require.Equal(t, clickid.KindCaptured, observed[0].Kind)

				// Withdrawn consent reaches the links of the fallback's token.
				linker := store.(clickid.Linker)
				require.NoError(t, linker.Link(context.Background(), order, cookie.Value, c.Expires))
				require.NoError(t, store.Delete(context.Background(), cookie.Value))
				_, err = tracker.Linked(context.Background(), order)
				require.ErrorIs(t, err, clickid.ErrNotFound)
			})
		})
	}
}
