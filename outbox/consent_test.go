package outbox_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/outbox"
	"github.com/stretchr/testify/require"
)

// TestAdmit_unknownConsent stores events from outside of a request while the
// resolver's tracker requires consent.
func TestAdmit_unknownConsent(t *testing.T) {
	t.Parallel()
	tracker, err := clickid.New(clickid.Config{
		Store: clickid.NewMemoryStore(), Consent: func(*http.Request) clickid.Consent { return clickid.ConsentUnknown },
	})
	require.NoError(t, err)
	client := newClient(t, always(reply(200, `{"events_received":1,"events_processed":1}`)), capi.LogEvent{EventSourceID: "shop", SendExternalID: true},
		func(cfg *capi.Config) { cfg.Resolver = tracker })
	asks := func(context.Context, clickid.Event) (clickid.Consent, error) { return clickid.ConsentGranted, nil }
	for _, test := range []struct {
		name    string
		edit    func(e *clickid.Event)
		consent func(context.Context, clickid.Event) (clickid.Consent, error)
		verdict clickid.Verdict
		keeps   bool // the identities
	}{
		{"a click", func(*clickid.Event) {}, nil, clickid.VerdictQueued, false},
		{"a token", func(e *clickid.Event) { e.Click, e.ClickToken = clickid.Click{}, "token" }, nil, clickid.VerdictQueued, false},
		{"nothing else", func(e *clickid.Event) { e.Click = clickid.Click{} }, nil, clickid.VerdictSkippedConsent, false},
		{"nothing else, and consent is asked at delivery", func(e *clickid.Event) { e.Click = clickid.Click{} }, asks, clickid.VerdictQueued, true},
		{"granted", func(e *clickid.Event) { e.Consent = clickid.ConsentGranted }, nil, clickid.VerdictQueued, true},
		{"refused by validation", func(e *clickid.Event) { e.Value = clickid.Minor(-1, "USD") }, nil, clickid.VerdictDeadLettered, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := purchase("order")
			e.User = clickid.User{ExternalID: "customer-7", HashedEmail: strings.Repeat("a", 64), Addresses: []clickid.Address{{}}, MeasurementOnly: true}
			test.edit(&e)
			d := newDelivery(t, outbox.Config{Destination: client, Consent: test.consent})
			report, records := d.Admit(context.Background(), e)
			result := report.Results[0]
			require.Equal(t, test.verdict, result.Verdict, result.Reason)
			if test.verdict == clickid.VerdictSkippedConsent {
				stored, err := records[0].Event()
				require.NoError(t, err)
				require.Equal(t, clickid.User{}, stored.User)
				require.Equal(t, result.Reason, records[0].Skipped)
				return
			}
			stored, err := records[0].Event()
			require.NoError(t, err)
			require.True(t, stored.User.MeasurementOnly)
			if test.keeps {
				require.True(t, stored.User.Identified())
			} else {
				require.Equal(t, clickid.User{MeasurementOnly: true}, stored.User)
			}
			require.Equal(t, !test.keeps, strings.Contains(strings.Join(result.Warnings, " "), "consent is unknown"))
			require.Equal(t, e.Consent, stored.Consent)
			hash, err := outbox.KeyHash(clickid.CustomerKey("customer-7"))
			require.NoError(t, err)
			require.Contains(t, records[0].Keys, hash, "the event can be erased by its customer")
			if test.consent != nil {
				require.Equal(t, outbox.ActionDone, d.Deliver(context.Background(), records[0], 1).Action)
			}
		})
	}
}
