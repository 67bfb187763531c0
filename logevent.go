package clickid

// LogEvent is the dialect of AdCP's log_event over HTTP, the platform's stable
// API: up to 10,000 events per request, each identified by the event source,
// its type and its ID.
type LogEvent struct {
	// EventSourceID is the registered event source, 1 to 256 characters.
	// Required. Events of a source that is not registered are refused.
	EventSourceID string
	// AdvertiserID selects the Interchange endpoint of this advertiser, with
	// its own host, instead of the tracking endpoint. Defaults to none.
	AdvertiserID string
	// Path is the endpoint's path. Defaults to "/agentic/v1/capi", or, with
	// AdvertiserID, to
	// "/api/v2/buyer/advertisers/{AdvertiserID}/log-event".
	Path string
	// TestEventCode makes the platform validate events without counting them;
	// at most 256 characters. Defaults to none.
	TestEventCode string
	// ClickIDType is sent as click_id_type; at most 64 characters. Defaults to
	// the URL parameter that the click came in, or "clkid".
	ClickIDType string
}

func (d LogEvent) problems() []error   { return nil }
func (d LogEvent) destination() string { return d.EventSourceID }
