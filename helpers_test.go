package clickid_test

import (
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
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
)
