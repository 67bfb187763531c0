package clickid_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// direct is a sender that stores its events and does not resolve tokens.
type direct struct{ queue }

func (*direct) ResolvesTokens() bool { return false }

func TestBind(t *testing.T) {
	t.Parallel()
	const both = "/?clkid=abc&gclid=def"
	tests := map[string]struct {
		landing, outer, inner string // the landing and the click IDs that are sent
	}{
		"both clicks":          {both, "abc", "def"},
		"the outer one's only": {"/?clkid=abc", "abc", ""},
		"the inner one's only": {"/?gclid=def", "", "def"},
		"no click":             {"/", "", ""},
	}
	for name, tt := range tests {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				n := newNetworks(t, nil)
				b := n.browser()
				b.get(tt.landing)
				ctx := b.do(method, "/buy").ctx
				if ctx.Value(extension.ContextKey) == nil {
					ctx = n.outer.Context(newRequest(method, "/buy")) // as a GET page that creates an order
				}
				var x, y, unbound direct
				var queued queue
				result, err := clickid.Convert(ctx, clickid.Senders(n.outer.Bind(&x), n.inner.Bind(clickid.Senders(&y, &queued)), &unbound), order("1"))
				require.NoError(t, err)
				require.Len(t, result.Parts, 3)
				require.Equal(t, tt.outer, x.events[0].Click.ID)
				require.Equal(t, tt.inner, y.events[0].Click.ID)
				require.Equal(t, tt.outer, unbound.events[0].Click.ID, "the outermost tracker's")
				if click := queued.events[0].Click; click.IsZero() && tt.inner != "" {
					click, err = n.inner.Resolve(ctx, queued.events[0].ClickToken)
					require.NoError(t, err)
					require.Equal(t, tt.inner, click.ID)
				} else {
					require.Equal(t, tt.inner, click.ID)
				}
			})
		}
	}
}

func TestBind_otherOrder(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	ctx := n.browser().get("/?clkid=abc&gclid=def").ctx
	var x, y direct
	given := order("2")
	given.Click = testClick
	for _, e := range []clickid.Event{order("1"), given} {
		_, err := n.inner.Bind(&x).Send(ctx, e, e)
		require.NoError(t, err, "without Convert")
		_, err = clickid.Senders(n.inner.Bind(&y)).Send(ctx, e)
		require.NoError(t, err)
	}
	require.Equal(t, "def", x.events[0].Click.ID)
	require.Equal(t, "def", x.events[1].Click.ID)
	require.Equal(t, testClick, x.events[2].Click, "that of the event takes precedence")
	require.Equal(t, "def", y.events[0].Click.ID)
	require.Equal(t, testClick, y.events[1].Click)
}

func TestBind_consent(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, func(outer, inner *clickid.Config) {
		outer.Consent, inner.Consent = consentOf("Scope3"), consentOf("Google")
		inner.SendUnknown = true
	})
	user := order("1")
	user.User.ExternalID = "customer-7"
	const granted, denied = clickid.ConsentGranted, clickid.ConsentDenied
	for name, tt := range map[string]struct {
		headers      []string
		outer, inner clickid.Consent
		sent         [2]bool
	}{
		"both granted":       {[]string{"Scope3: yes", "Google: yes"}, granted, granted, [2]bool{true, true}},
		"the outer denied":   {[]string{"Scope3: no", "Google: yes"}, denied, granted, [2]bool{true, true}},
		"the inner denied":   {[]string{"Scope3: yes", "Google: no"}, granted, denied, [2]bool{true, true}},
		"the outer unknown":  {[]string{"Google: yes"}, denied, granted, [2]bool{true, true}},
		"the inner unknown":  {[]string{"Scope3: yes"}, granted, granted, [2]bool{true, true}},
		"only the inner has": {[]string{"Scope3: no", "Google: yes", "Cookie: __Host-gclid=x"}, denied, granted, [2]bool{true, true}},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			b := n.browser()
			b.get("/?gclid=def", "Scope3: yes", "Google: yes")
			ctx := b.do(method, "/buy", tt.headers...).ctx
			var x, y direct
			result, err := clickid.Convert(ctx, clickid.Senders(n.outer.Bind(&x), n.inner.Bind(&y)), user)
			require.NoError(t, err, name)
			for i, q := range []*direct{&x, &y} {
				if !tt.sent[i] {
					require.Empty(t, q.events, name)
					require.Equal(t, clickid.VerdictSkippedConsent, result.Parts[i].Verdict, name)
					continue
				}
				require.Equal(t, []clickid.Consent{tt.outer, tt.inner}[i], q.events[0].Consent, name)
			}
		}
	}
}

func TestBind_failedLookup(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	b := n.browser()
	b.get("/?clkid=abc&gclid=def")
	unavailable := errors.New("connection refused")
	n.inner.store.failWith(unavailable)
	var x, y direct
	var queued queue
	result, err := clickid.Convert(b.get("/buy").ctx, clickid.Senders(n.outer.Bind(&x), n.inner.Bind(&y), n.inner.Bind(&queued)), order("1"))
	require.ErrorIs(t, err, unavailable)
	require.Equal(t, "abc", x.events[0].Click.ID)
	require.Equal(t, clickid.VerdictFailed, result.Parts[1].Verdict)
	require.Empty(t, y.events)
	require.NotEmpty(t, queued.events[0].ClickToken, "an outbox needs no lookup")
}

// A webhook has no visitor, but the order's key. The trackers share a store.
func TestBind_convertFor(t *testing.T) {
	t.Parallel()
	shared := clickid.NewMemoryStore()
	n := newNetworks(t, func(outer, inner *clickid.Config) { outer.Store, inner.Store = shared, shared })
	key := clickid.OrderKey("1")
	b := n.browser()
	ctx := b.get("/?clkid=abc&gclid=def").ctx
	require.NoError(t, n.outer.Link(ctx, key))
	require.NoError(t, n.inner.Link(ctx, key))
	for _, webhook := range []context.Context{context.Background(), n.browser().do(http.MethodPost, "/webhook").ctx} {
		var x, y, unbound, own direct
		var queued queue
		both := clickid.Senders(n.outer.Bind(&x), n.inner.Bind(&y), n.inner.Bind(&queued), &unbound)
		_, err := n.outer.ConvertFor(webhook, key, both, order("1"))
		require.NoError(t, err)
		_, err = n.inner.ConvertFor(webhook, key, &own, order("1"))
		require.NoError(t, err)
		require.Equal(t, "abc", x.events[0].Click.ID)
		require.Equal(t, "def", y.events[0].Click.ID)
		require.Equal(t, "abc", unbound.events[0].Click.ID)
		require.Equal(t, "def", own.events[0].Click.ID)
		click, err := n.inner.Resolve(webhook, queued.events[0].ClickToken)
		require.NoError(t, err)
		require.Equal(t, "def", click.ID)
	}

	require.NoError(t, n.inner.ForgetKey(ctx, key))
	_, err := n.inner.Linked(ctx, key)
	require.ErrorIs(t, err, clickid.ErrNotFound)
	linked, err := n.outer.Linked(ctx, key)
	require.NoError(t, err, "an erasure of one network leaves the other's")
	require.Equal(t, "abc", linked.ID)
	tx := &transaction{Linker: clickid.NewMemoryStore()}
	require.NoError(t, n.inner.LinkIn(b.get("/?gclid=jkl").ctx, tx, key))
	require.NoError(t, shared.Link(ctx, tx.key, tx.token, tx.expires))
	linked, err = n.inner.Linked(ctx, key)
	require.NoError(t, err)
	require.Equal(t, "jkl", linked.ID)

	// Without a link, each tracker uses its own click of the visitor.
	var x, y direct
	_, err = n.inner.ConvertFor(ctx, clickid.OrderKey("2"), clickid.Senders(n.outer.Bind(&x), &y), order("2"))
	require.NoError(t, err)
	require.Equal(t, "abc", x.events[0].Click.ID)
	require.Equal(t, "def", y.events[0].Click.ID)
}

func TestBind_convertForWithoutLinker(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, func(outer, _ *clickid.Config) { outer.Linker = clickid.NewMemoryStore() })
	var y direct
	_, err := n.outer.ConvertFor(context.Background(), clickid.OrderKey("1"), n.inner.Bind(&y), order("1"))
	require.ErrorContains(t, err, "set Config.Linker")
	require.Empty(t, y.events, "a click that cannot be looked up does not make an order organic")
}

func TestBind_outsideOfARequest(t *testing.T) {
	t.Parallel()
	n := newNetworks(t, nil)
	client := newClient(t, platformtest.Responding(platformtest.OK()), ecapi)
	result, err := clickid.Convert(context.Background(), n.inner.Bind(client), order("1"))
	require.NoError(t, err)
	require.Equal(t, clickid.VerdictSkippedOrganic, result.Verdict)
	require.Contains(t, result.Reason, "not a visitor's request")
}

func TestBind_nil(t *testing.T) {
	t.Parallel()
	var missing *clickid.Tracker
	var x direct
	for name, s := range map[string]clickid.Sender{
		"tracker":              missing.Bind(&x),
		"sender":               newTracker(t, clickid.Config{}).Bind(nil),
		"empty list":           newTracker(t, clickid.Config{}).Bind(clickid.Senders()),
		"tracker in a list":    clickid.Senders(missing.Bind(&x)),
		"tracker around bound": missing.Bind(newTracker(t, clickid.Config{}).Bind(&x)),
	} {
		_, err := clickid.Convert(clickid.WithClick(context.Background(), testClick), s, order("1"))
		require.Error(t, err, name)
		report, err := s.Send(context.Background(), order("1"), order("2"))
		require.Error(t, err, name)
		require.Len(t, report.Results, 2, name)
	}
	require.Empty(t, x.events)
}

func TestBind_resolvesTokens(t *testing.T) {
	t.Parallel()
	tracker := newTracker(t, clickid.Config{})
	for s, want := range map[clickid.Sender]bool{&queue{}: true, &direct{}: false} {
		require.Equal(t, want, tracker.Bind(s).(interface{ ResolvesTokens() bool }).ResolvesTokens())
	}
}
