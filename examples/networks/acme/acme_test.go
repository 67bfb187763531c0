package acme_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/examples/networks/acme"
	"github.com/clickid/clickid/examples/networks/acme/acmetest"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	"github.com/stretchr/testify/require"
)

func newClient(t testing.TB, url string, resolver clickid.Resolver) *acme.Client {
	t.Helper()
	client, err := acme.New(acme.Config{APIKey: acmetest.APIKey, Account: acmetest.Account, BaseURL: url, Resolver: resolver})
	require.NoError(t, err)
	return client
}

// TestClient runs the suite of the destinations of an outbox.
func TestClient(t *testing.T) {
	outboxtest.RunDestination(t, func(t testing.TB) outboxtest.Platform {
		platform := acmetest.NewServer()
		t.Cleanup(platform.Close)
		return outboxtest.Platform{
			Open: func(t testing.TB, resolver clickid.Resolver) outbox.Destination {
				return newClient(t, platform.URL, resolver)
			},
			Behave:   platform.Behave,
			Requests: platform.Requests,
			Accepted: func() (accepted []outboxtest.AcceptedEvent) {
				for _, c := range platform.Accepted() {
					accepted = append(accepted, outboxtest.AcceptedEvent{ID: c.ID, ClickID: c.Click})
				}
				return accepted
			},
		}
	})
}

func order(id string) clickid.Event {
	now := time.Now()
	return clickid.Event{
		Type: clickid.Purchase, ID: id, Time: now, Value: clickid.Minor(14999, "USD"),
		Click: clickid.Click{ID: "click-of-" + id, Param: acme.Param, At: now, Expires: now.Add(time.Hour)},
	}
}

func TestClient_conversion(t *testing.T) {
	t.Parallel()
	platform := acmetest.NewServer()
	t.Cleanup(platform.Close)
	_, err := newClient(t, platform.URL, nil).Deliver(context.Background(), []outbox.Item{{Event: order("1")}})
	require.NoError(t, err)
	require.Equal(t, []acmetest.Conversion{{ID: "1", Name: "sale", Click: "click-of-1", Value: "149.99", Currency: "USD"}}, platform.Accepted())
}

func TestClient_otherTypes(t *testing.T) {
	t.Parallel()
	e := order("1")
	e.Type = clickid.AddToCart
	result := newClient(t, "", nil).Check(e)
	require.Equal(t, clickid.VerdictRejected, result.Verdict)
	require.ErrorIs(t, result.Err, clickid.ErrInvalidEvent)
}

// TestClient_responses checks responses that accept nothing.
func TestClient_responses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		kind   clickid.SendErrorKind
	}{
		"a page":                {200, "<html>", clickid.SendErrorTemporary},
		"too few results":       {200, `{"results":[]}`, clickid.SendErrorTemporary},
		"a refused request":     {400, `{}`, clickid.SendErrorRefused},
		"an unknown account":    {404, `{}`, clickid.SendErrorConfiguration},
		"too many requests":     {429, `{}`, clickid.SendErrorTemporary},
		"an unavailable server": {502, `<html>`, clickid.SendErrorTemporary},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.body))
		}))
		t.Cleanup(server.Close)
		report, err := newClient(t, server.URL, nil).Deliver(context.Background(), []outbox.Item{{Event: order("1")}})
		require.Error(t, err, name)
		require.Equal(t, clickid.VerdictFailed, report.Results[0].Verdict, name)
		var refusal clickid.SendError
		require.ErrorAs(t, err, &refusal, name)
		require.Equal(t, tt.kind, refusal.Kind(), name)
		require.Equal(t, tt.status, refusal.Status(), name)
		if tt.status != 200 {
			require.Equal(t, 7*time.Second, refusal.RetryAfter(), name)
		}
	}
}

func TestNew_invalid(t *testing.T) {
	t.Parallel()
	for _, cfg := range []acme.Config{{}, {APIKey: "key"}, {Account: "shop"}, {APIKey: "key", Account: "shop", BaseURL: "http://a b"}} {
		_, err := acme.New(cfg)
		require.ErrorContains(t, err, "acme: ")
	}
}
