package capi_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

const (
	testKey      = platformtest.Key
	documentedID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
)

var (
	ecapi    = capi.ECAPI{DataSetID: "ds_abc123xyz"}
	logEvent = capi.LogEvent{EventSourceID: "shop"}

	newClient = platformtest.NewClient
	purchase  = platformtest.Purchase
	testClick = platformtest.Click
	eventTime = platformtest.Time
	fullEvent = platformtest.FullEvent
	sent      = platformtest.Sent
	verdicts  = platformtest.Verdicts
)

// eventIDs returns the IDs in a log_event request.
func eventIDs(t testing.TB, body []byte) []string {
	t.Helper()
	var request struct {
		Events []struct {
			ID string `json:"event_id"`
		} `json:"events"`
	}
	require.NoError(t, json.Unmarshal(body, &request))
	ids := make([]string, len(request.Events))
	for i, e := range request.Events {
		ids[i] = e.ID
	}
	return ids
}

func indented(t testing.TB, body []byte) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Indent(&b, body, "", "  "))
	return b.String()
}
