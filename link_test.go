package clickid_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// failingLinker fails when it is told.
type failingLinker struct {
	clickid.Linker
	err error
}

func (l *failingLinker) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
	if l.err != nil {
		return l.err
	}
	return l.Linker.Link(ctx, k, token, expires)
}

func (l *failingLinker) Linked(ctx context.Context, k clickid.Key) (string, error) {
	if l.err != nil {
		return "", l.err
	}
	return l.Linker.Linked(ctx, k)
}

// linkingSites are the two set-ups in which links can be kept.
var linkingSites = map[string]func(testing.TB, clickid.Config) *site{
	"clicks in the cookie, links elsewhere": func(t testing.TB, cfg clickid.Config) *site {
		memory := clickid.NewMemoryStore()
		cfg.Linker = memory
		s := newSite(t, cfg)
		clickid.SetStoreNow(memory, s.clock.now)
		return s
	},
	"one store for both": func(t testing.TB, cfg clickid.Config) *site {
		cfg.Store = clickid.NewMemoryStore()
		return newSite(t, cfg)
	},
}

func TestLink(t *testing.T) {
	t.Parallel()
	for name, newLinkingSite := range linkingSites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newLinkingSite(t, clickid.Config{TTL: time.Hour})
			v := s.visitor()
			landing := v.get("/?clkid=abc")
			ctx := context.Background()

			require.NoError(t, s.Link(landing.ctx, clickid.SessionKey("s1")), "on the landing itself")
			require.NoError(t, s.Link(v.get("/login").ctx, clickid.SessionKey("s2")), "on a later page, as a renewed session")
			require.NoError(t, s.Link(v.get("/checkout").ctx, clickid.OrderKey("42")))
			for _, k := range []clickid.Key{clickid.SessionKey("s1"), clickid.SessionKey("s2"), clickid.OrderKey("42")} {
				click, err := s.Linked(ctx, k)
				require.NoError(t, err)
				want, err := clickid.Lookup(landing.ctx)
				require.NoError(t, err)
				require.Equal(t, want, click)
			}
			for _, k := range []clickid.Key{clickid.CustomerKey("42"), clickid.OrderKey("s1"), clickid.OrderKey("43")} {
				_, err := s.Linked(ctx, k)
				require.ErrorIs(t, err, clickid.ErrNotFound, "kinds and values do not meet")
			}

			other := s.visitor().get("/?clkid=def")
			require.NoError(t, s.Link(other.ctx, clickid.OrderKey("42")))
			click, err := s.Linked(ctx, clickid.OrderKey("42"))
			require.NoError(t, err)
			require.Equal(t, "def", click.ID, "the latest link wins")

			s.clock.advance(time.Hour)
			_, err = s.Linked(ctx, clickid.SessionKey("s1"))
			require.ErrorIs(t, err, clickid.ErrNotFound, "a link ends with its click")
		})
	}
}

// transaction is a linker that records its calls.
type transaction struct {
	clickid.Linker
	ctx     context.Context
	key     clickid.Key
	token   string
	expires time.Time
	err     error
}

func (x *transaction) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
	x.ctx, x.key, x.token, x.expires = ctx, k, token, expires
	return x.err
}

func TestLinkIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{}) // no Linker is needed
	landing := s.visitor().get("/?clkid=abc")
	ctx, cancel := context.WithCancel(landing.ctx)
	defer cancel()
	order, tx := clickid.OrderKey("42"), &transaction{Linker: clickid.NewMemoryStore()}
	require.NoError(t, s.LinkIn(ctx, tx, order))
	require.Equal(t, order, tx.key)
	token, ok := clickid.Token(ctx)
	require.True(t, ok)
	require.Equal(t, token, tx.token)
	click, err := clickid.Lookup(ctx)
	require.NoError(t, err)
	require.Equal(t, click.Expires, tx.expires)

	// The tracker's own time must not end the order's transaction.
	_, limited := tx.ctx.Deadline()
	require.False(t, limited)
	cancel()
	require.ErrorIs(t, tx.ctx.Err(), context.Canceled)

	rolledBack := errors.New("the transaction has been rolled back")
	s.noticed = nil
	require.Equal(t, rolledBack, s.LinkIn(landing.ctx, &transaction{Linker: clickid.NewMemoryStore(), err: rolledBack}, order))
	require.Empty(t, s.noticed)
}

func TestLink_errors(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	order := clickid.OrderKey("1")
	for name, newLinkingSite := range linkingSites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newLinkingSite(t, clickid.Config{Consent: byHeader})
			granted := s.visitor()
			tests := map[string]struct {
				ctx  context.Context
				key  clickid.Key
				want error
			}{
				"a visitor who has a click":      {granted.get("/?clkid=abc", yes).ctx, order, nil},
				"an empty session":               {granted.get("/", yes).ctx, clickid.SessionKey(""), clickid.ErrInvalid},
				"a visitor who has none":         {s.visitor().get("/").ctx, order, clickid.ErrNotFound},
				"a forged cookie":                {cookieHeader(s, "__Host-clkid=forged").ctx, order, clickid.ErrNotFound},
				"no visitor at all":              {context.Background(), order, clickid.ErrNotFound},
				"a proven absence":               {clickid.WithClick(context.Background(), clickid.Click{}), order, clickid.ErrNotFound},
				"a landing before consent":       {s.visitor().get("/?clkid=abc").ctx, order, clickid.ErrNoConsent},
				"a later page, consent unknown":  {granted.get("/").ctx, order, clickid.ErrNoConsent},
				"a landing without consent":      {s.visitor().get("/?clkid=abc", no).ctx, order, clickid.ErrNotFound},
				"a click that has expired":       {clickid.WithClick(context.Background(), testClick), order, clickid.ErrInvalid},
				"a click that cannot be one":     {clickid.WithClick(context.Background(), clickid.Click{ID: "a b"}), order, clickid.ErrInvalid},
				"an empty key comes before that": {context.Background(), clickid.Key{}, clickid.ErrInvalid},
			}
			for name, tt := range tests {
				err := s.Link(tt.ctx, tt.key)
				require.ErrorIs(t, err, tt.want, name)
				err = s.LinkIn(tt.ctx, &transaction{Linker: clickid.NewMemoryStore()}, tt.key)
				require.ErrorIs(t, err, tt.want, name)
			}
			_, err := s.Linked(context.Background(), clickid.Key{})
			require.ErrorIs(t, err, clickid.ErrInvalid)

			// A store that cannot load the click now may be able to later.
			later := granted.get("/", yes)
			s.store.failWith(unavailable)
			require.NoError(t, s.Link(later.ctx, clickid.OrderKey("2")))
			_, err = s.Linked(context.Background(), clickid.OrderKey("2"))
			require.ErrorIs(t, err, unavailable)
			require.NotErrorIs(t, err, clickid.ErrNotFound)
			landing := s.visitor().get("/?clkid=def", yes)
			require.ErrorIs(t, s.Link(landing.ctx, clickid.OrderKey("3")), unavailable)
			s.store.recover()
			click, err := s.Linked(context.Background(), clickid.OrderKey("2"))
			require.NoError(t, err)
			require.Equal(t, "abc", click.ID)
			require.NoError(t, s.Link(landing.ctx, clickid.OrderKey("3")), "the landing's click is stored now")
			require.NoError(t, s.Link(landing.ctx, clickid.OrderKey("4")))
			one, err := s.Linked(context.Background(), clickid.OrderKey("3"))
			require.NoError(t, err)
			require.Equal(t, "def", one.ID)
			_, ok := clickid.Token(landing.ctx)
			require.True(t, ok, "and stored once")
		})
	}
}

func TestLink_withClick(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{Store: clickid.NewMemoryStore()})
	click := clickid.Click{ID: "abc", Param: "clkid", At: startOfTest.Truncate(time.Second), Expires: startOfTest.Truncate(time.Second).Add(time.Hour)}
	require.NoError(t, s.Link(clickid.WithClick(context.Background(), click), clickid.OrderKey("1")))
	linked, err := s.Linked(context.Background(), clickid.OrderKey("1"))
	require.NoError(t, err)
	require.Equal(t, click, linked)
}

func TestLink_failedLinker(t *testing.T) {
	t.Parallel()
	unavailable := errors.New("connection refused")
	linker := &failingLinker{Linker: clickid.NewMemoryStore(), err: unavailable}
	s := newSite(t, clickid.Config{Linker: linker})
	landing := s.visitor().get("/?clkid=abc")
	s.observations()
	err := s.Link(landing.ctx, clickid.OrderKey("1"))
	require.ErrorIs(t, err, unavailable)
	_, err = s.Linked(context.Background(), clickid.OrderKey("1"))
	require.ErrorIs(t, err, unavailable)
	require.NotErrorIs(t, err, clickid.ErrNotFound, "let the webhook be sent again")
	require.ErrorIs(t, s.ForgetKey(context.Background(), clickid.OrderKey("1")), unavailable)
	require.Equal(t, []clickid.Kind{clickid.KindStoreError, clickid.KindStoreError, clickid.KindStoreError}, s.kinds())
}

func TestLinked_retiredKey(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	before := newSite(t, clickid.Config{Linker: memory})
	clickid.SetStoreNow(memory, before.clock.now)
	require.NoError(t, before.Link(before.visitor().get("/?clkid=abc").ctx, clickid.OrderKey("1")))
	after := newSite(t, clickid.Config{Store: newCookieStore(t, secondKey), Linker: memory})
	_, err := after.Linked(context.Background(), clickid.OrderKey("1"))
	require.ErrorIs(t, err, clickid.ErrNotFound, "an error that stays would let the webhook fail for ever")
}

func TestLink_withoutLinker(t *testing.T) {
	t.Parallel()
	s := newSite(t, clickid.Config{})
	landing := s.visitor().get("/?clkid=abc")
	require.ErrorContains(t, s.Link(landing.ctx, clickid.OrderKey("1")), "no Linker is configured")
	_, err := s.Linked(context.Background(), clickid.OrderKey("1"))
	require.ErrorContains(t, err, "no Linker is configured")
	require.NotErrorIs(t, err, clickid.ErrNotFound)
}

// LinkIn and Convert within a transaction must not wait for a second connection
// of the pool that the transaction took its own from.
func TestOrder_withoutAStoreCall(t *testing.T) {
	t.Parallel()
	memory := clickid.NewMemoryStore()
	s := newSite(t, clickid.Config{Store: memory})
	v := s.visitor()
	v.get("/?clkid=abc")
	loads := s.store.loads.Load()
	checkout := v.do(http.MethodPost, "/checkout")
	require.NoError(t, s.LinkIn(checkout.ctx, memory, clickid.OrderKey("1")))
	result, err := clickid.Convert(checkout.ctx, tokenSender{}, clickid.Event{})
	require.NoError(t, err)
	require.Equal(t, clickid.VerdictQueued, result.Verdict)
	require.Equal(t, loads, s.store.loads.Load(), "the store is not asked")

	click, err := s.Linked(context.Background(), clickid.OrderKey("1"))
	require.NoError(t, err)
	require.Equal(t, "abc", click.ID)
}

// tokenSender is an outbox that resolves tokens later.
type tokenSender struct{}

func (tokenSender) ResolvesTokens() bool { return true }

func (tokenSender) Send(_ context.Context, events ...clickid.Event) (clickid.Report, error) {
	var report clickid.Report
	for _, e := range events {
		r := clickid.Result{Verdict: clickid.VerdictQueued}
		if e.ClickToken == "" {
			r.Verdict = clickid.VerdictSkippedOrganic
		}
		report.Results = append(report.Results, r)
	}
	return report, nil
}
