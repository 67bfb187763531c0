package capi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// consentResolver stands in for a tracker. It knows the token "known".
type consentResolver struct{ requires bool }

func (r consentResolver) Resolve(_ context.Context, token string) (clickid.Click, error) {
	if token != "known" {
		return clickid.Click{}, clickid.ErrNotFound
	}
	return testClick, nil
}

func (r consentResolver) RequiresConsent() bool { return r.requires }

// TestSend_unknownConsent sends events whose consent is unknown.
func TestSend_unknownConsent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		requires    bool
		edit        func(e *clickid.Event)
		unattribute bool
		verdict     clickid.Verdict
		identities  bool // are sent
	}{
		{name: "consent is not configured", edit: func(*clickid.Event) {}, verdict: clickid.VerdictAccepted, identities: true},
		{name: "a click", requires: true, edit: func(*clickid.Event) {}, verdict: clickid.VerdictAccepted},
		{name: "a token", requires: true, edit: func(e *clickid.Event) { e.Click, e.ClickToken = clickid.Click{}, "known" }, verdict: clickid.VerdictAccepted},
		{name: "a token without a click", requires: true, edit: func(e *clickid.Event) { e.Click, e.ClickToken = clickid.Click{}, "unknown" }, verdict: clickid.VerdictSkippedConsent},
		{name: "no click", requires: true, edit: func(e *clickid.Event) { e.Click = clickid.Click{} }, verdict: clickid.VerdictSkippedConsent},
		{name: "granted", requires: true, edit: func(e *clickid.Event) { e.Click, e.Consent = clickid.Click{}, clickid.ConsentGranted }, verdict: clickid.VerdictAccepted, identities: true},
		{name: "unattributed events are sent", requires: true, edit: func(e *clickid.Event) { e.Click = clickid.Click{} }, unattribute: true, verdict: clickid.VerdictAccepted},
		{name: "neither click nor identities", requires: true, edit: func(e *clickid.Event) { e.Click, e.User = clickid.Click{}, clickid.User{} }, verdict: clickid.VerdictSkippedOrganic},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := platformtest.Responding(platformtest.OK())
			c := newClient(t, p, capi.LogEvent{EventSourceID: "shop", SendExternalID: true}, func(cfg *capi.Config) {
				cfg.Resolver, cfg.SendUnattributed = consentResolver{test.requires}, test.unattribute
			})
			e := purchase("1")
			e.User = clickid.User{ExternalID: "customer-7", HashedEmail: strings.Repeat("a", 64), IP: "192.0.2.1", UserAgent: "agent"}
			test.edit(&e)
			report, err := c.Send(context.Background(), e)
			require.NoError(t, err)
			result := report.Results[0]
			require.Equal(t, test.verdict, result.Verdict, result.Reason)
			warned := strings.Contains(strings.Join(result.Warnings, " "), "the user's consent is unknown")
			require.Equal(t, e.User.Identified() && !test.identities, warned)
			if test.verdict != clickid.VerdictAccepted {
				require.Zero(t, p.Count())
				return
			}
			for _, identity := range []string{"customer-7", strings.Repeat("a", 64), "192.0.2.1", "agent"} {
				require.Equal(t, test.identities, strings.Contains(string(p.Bodies[0]), identity), identity)
			}
		})
	}
}
