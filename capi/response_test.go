package capi_test

import (
	"context"
	"errors"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/stretchr/testify/require"
)

// TestResponse_forms holds the client to the meaning of each form of response,
// and docs/reliability.md to the same list.
func TestResponse_forms(t *testing.T) {
	t.Parallel()
	for _, form := range platformtest.Forms() {
		t.Run(form.Name, func(t *testing.T) {
			t.Parallel()
			dialect := logEvent
			if form.Interchange {
				dialect.AdvertiserID = "adv"
			}
			client := newClient(t, platformtest.Responding(form.Respond), dialect, func(cfg *capi.Config) {
				cfg.Retry = capi.Retry{Attempts: 2, BaseDelay: 1, MaxDelay: 1}
			})
			report, err := client.Send(context.Background(), purchase("1"))
			result := report.Results[0]
			column := "accepted"
			switch {
			case form.Accepted:
				require.NoError(t, err)
				require.Equal(t, clickid.VerdictAccepted, result.Verdict)
				require.Equal(t, form.Warned, len(report.Warnings) > 0, report.Warnings)
				if form.Warned {
					column = "accepted, with a warning"
				}
			default:
				var refusal clickid.SendError
				require.True(t, errors.As(result.Err, &refusal))
				require.Equal(t, form.Kind, refusal.Kind(), refusal.Error())
				verdict := clickid.VerdictFailed
				if form.Kind == clickid.SendErrorEvent {
					verdict = clickid.VerdictRejected
				}
				require.Equal(t, verdict, result.Verdict)
				column = verdict.String() + ": " + form.Kind.String()
			}
			reliabilitytest.Compare(t, form.Name, "client", column)
		})
	}
}

// TestRefusals holds the client to the guide's table of what is refused or
// skipped before a request.
func TestRefusals(t *testing.T) {
	t.Parallel()
	client := newClient(t, platformtest.Responding(platformtest.OK()), logEvent)
	for _, refusal := range reliabilitytest.Refusals() {
		e := purchase("refusal")
		refusal.Edit(&e)
		reliabilitytest.Compare(t, refusal.Name, "client", reliabilitytest.Verdict(t, client, e))
	}
}
