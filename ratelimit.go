package clickid

import "time"

// RateLimit bounds requests: never more than Requests within any time of
// length Per. A tenth of them may follow one another at once.
//
// The zero value is the published limit where there is one: 100 requests a
// minute for [LogEvent] with an AdvertiserID, and none for the tracking
// endpoints, which answer 429 when they have enough.
type RateLimit struct {
	// Requests is the number of requests; negative means no limit.
	Requests int
	// Per is the time. Defaults to a minute.
	Per time.Duration
}
