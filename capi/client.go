package capi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/clickid/clickid"
)

// Environment is where the platform is reached when no BaseURL is given.
type Environment int

const (
	// EnvironmentProduction counts events.
	EnvironmentProduction Environment = iota
	// EnvironmentStaging is the platform's own test system.
	EnvironmentStaging
)

// Config configures a [Client].
type Config struct {
	// APIKey authorises the requests. The platform's own begin with "scope3_",
	// which is checked unless BaseURL names another platform. Required. It
	// appears in no error and no log.
	APIKey string `json:"-"`
	// Dialect is the endpoint to speak to: [ECAPI] or [LogEvent]. Required.
	Dialect Dialect
	// Environment chooses the platform's host. Defaults to [EnvironmentProduction].
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
	// response. Defaults to 10 seconds.
	Timeout time.Duration
	// TotalTimeout bounds a whole Send, waits and retries included, where the
	// caller's context has no deadline of its own. Defaults to 30 seconds.
	TotalTimeout time.Duration
	// Retry says how often and how fast a failed request is repeated.
	Retry Retry
	// RateLimit bounds the requests of this client. Defaults to the published
	// limit of the dialect's endpoint.
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
	Resolver clickid.Resolver
	// SendUnattributed sends events that have nothing to attribute them by.
	// Defaults to false: they are skipped.
	SendUnattributed bool
	// KeepPageQuery sends the query and fragment of PageURL, unless they hold
	// an e-mail address or a phone number. Defaults to false.
	KeepPageQuery bool
	// Logger receives a record of every attempt: Debug when it succeeded, Warn
	// when it failed, Error when the configuration is refused. Defaults to
	// slog.Default(); slog.New(slog.DiscardHandler) switches logging off.
	Logger *slog.Logger
	// Hook is called after every attempt, concurrently. Defaults to none.
	Hook func(context.Context, Attempt)
}

// Format prints the configuration without the API key.
func (cfg Config) Format(s fmt.State, _ rune) {
	destination := ""
	if cfg.Dialect != nil {
		destination = cfg.Dialect.destination()
	}
	_, _ = fmt.Fprintf(s, "clickid.Config{%T to %s}", cfg.Dialect, destination)
}

// LogValue keeps the API key out of logs.
func (cfg Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(cfg)) }

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
	// Status is the HTTP status, or 0 when there was no response.
	Status int
	// Duration is how long the attempt took.
	Duration time.Duration
	// Err is why it failed, a *ResponseError or a *TransportError, or nil.
	Err error
}

// Defaults of a [Config].
const (
	defaultTimeout      = 10 * time.Second
	defaultTotalTimeout = 30 * time.Second
	defaultConcurrency  = 8
	defaultBatchBytes   = 1 << 20
	minBatchBytes       = 16 << 10
)

const apiKeyPrefix = "scope3_"

// Client sends events to the platform now. It is safe for concurrent use.
type Client struct {
	cfg      Config // checked, with its defaults filled in
	endpoint string
	host     string
	name     string // see Name
	http     *http.Client
	limiter  *limiter
	slots    chan struct{} // one for each request under way
}

// New checks the whole configuration and returns a client, or every
// problem at once. It makes no connection. Later changes of cfg have no effect.
func New(cfg Config) (*Client, error) {
	var problems []error
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("capi: "+format, args...))
	}
	cfg.Dialect = dialectValue(cfg.Dialect)
	if cfg.Dialect == nil {
		report("Dialect is required: ECAPI or LogEvent")
	} else {
		problems = append(problems, cfg.Dialect.problems()...)
	}
	if cfg.Environment != EnvironmentProduction && cfg.Environment != EnvironmentStaging {
		report("Environment must be EnvironmentProduction or EnvironmentStaging")
	}
	base, err := baseURL(&cfg)
	if err != nil {
		problems = append(problems, err)
	}
	if err := checkAPIKey(cfg.APIKey, cfg.BaseURL == "" || err != nil || isLoopback(base.Hostname())); err != nil {
		problems = append(problems, err)
	}
	if cfg.Timeout < 0 || cfg.TotalTimeout < 0 {
		report("Timeout and TotalTimeout must not be negative")
	}
	problems = append(problems, cfg.Retry.problems()...)
	if cfg.RateLimit.Per < 0 {
		report("RateLimit.Per must not be negative")
	}
	if cfg.Concurrency < 0 || cfg.Concurrency > maxConcurrency {
		report("Concurrency must be from 1 to %d", maxConcurrency)
	}
	if cfg.MaxBatchEvents < 0 || cfg.MaxBatchEvents > maxLogEventEvents {
		report("MaxBatchEvents must be from 1 to %d", maxLogEventEvents)
	}
	if cfg.MaxBatchBytes < 0 || cfg.MaxBatchBytes > 0 && cfg.MaxBatchBytes < minBatchBytes {
		report("MaxBatchBytes must be at least %d", minBatchBytes)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	cfg.fillIn()
	return &Client{
		cfg:      cfg,
		endpoint: strings.TrimSuffix(base.String(), "/") + cfg.Dialect.path(),
		host:     base.Hostname(),
		name:     strings.Join(slices.DeleteFunc([]string{cfg.Dialect.name(), base.Hostname(), cfg.Dialect.advertiser(), cfg.Dialect.destination()}, func(s string) bool { return s == "" }), " "),
		http:     newHTTPClient(cfg.HTTPClient, cfg.Concurrency),
		limiter:  newLimiter(cfg.RateLimit),
		slots:    make(chan struct{}, cfg.Concurrency),
	}, nil
}

// maxConcurrency is far beyond what any platform welcomes.
const maxConcurrency = 1024

// fillIn replaces zero values by their defaults.
func (cfg *Config) fillIn() {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.TotalTimeout == 0 {
		cfg.TotalTimeout = defaultTotalTimeout
	}
	cfg.Retry = cfg.Retry.withDefaults()
	if cfg.RateLimit.Requests == 0 {
		cfg.RateLimit = cfg.Dialect.published()
	}
	if cfg.RateLimit.Per == 0 {
		cfg.RateLimit.Per = time.Minute
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if most := cfg.Dialect.maxEvents(); cfg.MaxBatchEvents == 0 || cfg.MaxBatchEvents > most {
		cfg.MaxBatchEvents = most
	}
	if cfg.MaxBatchBytes == 0 {
		cfg.MaxBatchBytes = defaultBatchBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
}

// dialectValue accepts a pointer to a dialect as well, and nil for a nil one.
func dialectValue(d Dialect) Dialect {
	switch d := d.(type) {
	case *ECAPI:
		if d == nil {
			return nil
		}
		return *d
	case *LogEvent:
		if d == nil {
			return nil
		}
		return *d
	}
	return d
}

// checkAPIKey reports a key that cannot be one. ours says that the platform's
// own keys are expected.
func checkAPIKey(key string, ours bool) error {
	switch {
	case key == "":
		return errors.New("capi: APIKey is required")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > unicode.MaxASCII || unicode.IsControl(r) }):
		return errors.New("capi: APIKey must consist of visible ASCII characters: is there a line break or a \"Bearer \" in it?")
	case ours && (!strings.HasPrefix(key, apiKeyPrefix) || key == apiKeyPrefix):
		return fmt.Errorf("capi: APIKey must begin with %q", apiKeyPrefix)
	}
	return nil
}

// baseURL returns the checked BaseURL, or that of dialect and environment. Its
// errors do not repeat the URL, which may hold a password.
func baseURL(cfg *Config) (*url.URL, error) {
	if cfg.BaseURL == "" {
		if cfg.Dialect == nil {
			return nil, nil
		}
		origin := cfg.Dialect.origin(cfg.Environment)
		if origin == "" {
			return nil, errors.New("capi: no staging host is documented for LogEvent with AdvertiserID; use EnvironmentProduction with TestEventCode, or BaseURL")
		}
		return url.Parse(origin)
	}
	u, err := url.Parse(cfg.BaseURL)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, errors.New(`capi: BaseURL must be a URL such as "https://events.example.com"`)
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return nil, errors.New("capi: BaseURL must use https; plain http is for loopback only")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("capi: BaseURL must have no credentials, query or fragment")
	}
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// Send checks the events and sends them, in as few requests as the dialect
// allows, and reports what became of each.
//
// It ends with ctx's deadline, or after TotalTimeout when ctx has none. The
// error of an event that has not been sent by then matches [ErrNotSent].
// Events of the same type and ID are sent once and share a result. Once the
// platform has refused the request as such (see [ResponseError.Kind]), or asks
// to wait longer than ctx allows, the other events are not sent.
func (c *Client) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	items := make([]clickid.QueuedEvent, len(events))
	for i := range events {
		items[i].Event = events[i]
	}
	if c == nil {
		return failAll(items, errNilClient)
	}
	return c.send(ctx, c.cfg.Retry, items)
}

func (c *Client) send(ctx context.Context, retry Retry, items []clickid.QueuedEvent) (clickid.Report, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	results, ready := c.prepare(ctx, items)
	c.deliver(ctx, retry, ready)
	report := newReport(results, ready)
	return report, report.Err()
}

var errNilClient = errors.New("capi: the client is nil; use the one that New returned without an error")

// failAll returns the report of events that all failed with err.
func failAll(items []clickid.QueuedEvent, err error) (clickid.Report, error) {
	report := clickid.Report{Results: make([]clickid.Result, len(items))}
	for i, item := range items {
		report.Results[i] = clickid.Result{Type: item.Event.Type, ID: item.Event.ID, Verdict: clickid.VerdictFailed, Err: err}
	}
	return report, report.Err()
}

// bounded gives ctx the total timeout when it has no deadline.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.TotalTimeout)
}

// Format prints host and destination: the API key stays out of %+v and %#v.
func (c *Client) Format(s fmt.State, _ rune) {
	if c == nil {
		_, _ = io.WriteString(s, "capi.Client(nil)")
		return
	}
	_, _ = io.WriteString(s, "capi.Client("+c.Name()+")")
}
