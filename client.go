package clickid

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Environment is where the platform is reached when no BaseURL is given.
type Environment int

const (
	// Production counts events.
	Production Environment = iota
	// Staging is the platform's own test system.
	Staging
)

// ClientConfig configures a [Client].
type ClientConfig struct {
	// APIKey authorises the requests; the platform's own begin with
	// "scope3_". Required. It appears in no error and no log.
	APIKey string
	// Dialect is the endpoint to speak to: [ECAPI] or [LogEvent]. Required.
	Dialect Dialect
	// Environment chooses the platform's host. Defaults to [Production].
	Environment Environment
	// BaseURL replaces the platform's scheme and host, for another platform or
	// a stand-in, such as "https://events.example.com". Only https, except on
	// loopback. A path is put before the dialect's own. Defaults to the host
	// of Environment.
	BaseURL string
	// HTTPClient sends the requests. It is copied, and its copy follows no
	// redirects. Defaults to a client of our own with HTTP/2, kept-alive
	// connections and TLS 1.2 or newer.
	HTTPClient *http.Client
	// Timeout bounds one attempt, from dialling to the last byte of the
	// answer. Defaults to 10 seconds.
	Timeout time.Duration
	// TotalTimeout bounds a whole Send, waits and retries included, where the
	// caller's context has no deadline of its own. Defaults to 30 seconds.
	TotalTimeout time.Duration
	// Retry says how often and how fast a failed request is repeated.
	Retry Retry
	// RateLimit bounds the requests of this client.
	RateLimit RateLimit
	// Concurrency bounds the requests that are under way at once, over all
	// Sends of this client. Defaults to 8.
	Concurrency int
	// MaxBatchEvents bounds the events of one request, up to what the dialect
	// allows. Defaults to 10,000; ECAPI always sends one.
	MaxBatchEvents int
	// MaxBatchBytes bounds the body of one request. Defaults to 1 MiB; the
	// platform has been seen to cut connections from there on. An event that
	// does not fit alone is rejected.
	MaxBatchBytes int
	// Resolver turns the ClickToken of an event into its click, usually the
	// [Tracker]. Defaults to none: such events fail.
	Resolver Resolver
	// SendUnattributed sends events that have nothing to attribute them by.
	// Defaults to false: they are skipped.
	SendUnattributed bool
	// KeepPageQuery sends the query and fragment of PageURL, unless they hold
	// an e-mail address or a phone number. Defaults to false.
	KeepPageQuery bool
	// Logger receives a record of every attempt: Debug when it succeeded, Warn
	// when it failed, Error when the configuration is refused. Defaults to no
	// logging.
	Logger *slog.Logger
	// Hook is called after every attempt, concurrently. Defaults to none.
	Hook func(context.Context, Attempt)
}

// Attempt is one request of a [Client] and its outcome. It holds no personal
// value.
type Attempt struct {
	// Host is the platform's host name.
	Host string
	// Number counts the attempts of the same request, from 1.
	Number int
	// Events and Bytes measure the request.
	Events int
	Bytes  int
	// Status is the HTTP status, or 0 when there was no answer.
	Status int
	// Duration is how long the attempt took.
	Duration time.Duration
	// Err is why it failed, a *ResponseError or a *TransportError, or nil.
	Err error
}

// Client sends events to the platform now. It is safe for concurrent use.
type Client struct {
	cfg ClientConfig
}

// NewClient checks the whole configuration and returns a client, or every
// problem at once. It makes no connection.
func NewClient(cfg ClientConfig) (*Client, error) {
	return &Client{cfg: cfg}, nil
}

// Send sends the events and reports what became of each.
func (c *Client) Send(ctx context.Context, events ...Event) (Report, error) {
	return Report{}, errors.ErrUnsupported
}

// Check validates e exactly as Send does and returns what Send would do with
// it, without any input or output: Ready, SkippedOrganic, SkippedConsent,
// Rejected, or Failed for an event whose ClickToken this client cannot resolve.
func (c *Client) Check(e Event) Result {
	return Result{Type: e.Type, ID: e.ID}
}

// WithRetry returns a client that differs in its retries alone and shares
// connections and limits with c. An outbox, which has retries of its own, uses
// Retry{Attempts: 1}. Zero fields mean the defaults.
func (c *Client) WithRetry(r Retry) *Client {
	copied := *c
	copied.cfg.Retry = r
	return &copied
}

// Destination returns the data set or event source that the client sends to:
// the first part of an event's identity.
func (c *Client) Destination() string { return c.cfg.Dialect.destination() }
