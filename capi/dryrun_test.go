package capi_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// A dry run prints no identity in any dialect, whichever member carries it.
func TestClient_DryRun_identities(t *testing.T) {
	t.Parallel()
	hash := func(s string) string {
		hashed, err := clickid.HashName(s)
		require.NoError(t, err)
		return hashed
	}
	e := fullEvent()
	e.Click.LandingIP, e.Click.LandingUserAgent = "198.51.100.9", "LandingBrowser/1.0"
	e.User.HashedCustomerID, e.User.ImpressionID = hash("customer"), "impression-1"
	e.User.Addresses = []clickid.Address{{
		HashedFirstName: hash("jane"), HashedLastName: hash("doe"), HashedStreet: hash("street"), HashedPostalCode: hash("12345"),
		City: "springfield", State: "illinois", Country: "us",
	}}
	for _, dialect := range []capi.Dialect{ecapi, capi.ECAPI{DataSetID: "ds", IAB: true}, logEvent, capi.LogEvent{EventSourceID: "shop", SendExternalID: true}} {
		var out bytes.Buffer
		report, err := newClient(t, platformtest.Responding(platformtest.OK()), dialect).DryRun(&out).Send(context.Background(), e)
		require.NoError(t, err)
		require.Equal(t, []clickid.Verdict{clickid.VerdictReady}, verdicts(report))
		require.Contains(t, out.String(), "order-1001")
		a := e.User.Addresses[0]
		for _, identity := range []string{
			testKey, e.Click.ID, e.Click.LandingIP, e.Click.LandingUserAgent, e.User.ExternalID, hash(e.User.ExternalID), e.User.IDs[0].Value,
			e.User.IDs[1].Value, e.User.HashedEmail, e.User.HashedPhone, e.User.IP, e.User.UserAgent, e.User.GPP, e.User.HashedCustomerID,
			e.User.ImpressionID, a.HashedFirstName, a.HashedLastName, a.HashedStreet, a.HashedPostalCode, a.City, a.State, `"` + a.Country + `"`,
		} {
			require.NotContains(t, out.String(), identity, "%+v", dialect)
		}
	}
}
