package capi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/apihttp"
)

// Environment selects the platform's host. [Config].BaseURL overrides it.
type Environment int

const (
	// EnvironmentProduction counts events.
	EnvironmentProduction Environment = iota
	// EnvironmentStaging is the platform's test system.
	EnvironmentStaging
)

// Config configures a [Client].
type Config struct {
	// APIKey authorizes the requests. It must begin with "scope3_" unless
	// BaseURL is set. Required. It does not appear in errors and logs.
	APIKey string `json:"-"`
	// Dialect is the dialect of the endpoint, [ECAPI] or [LogEvent]. Required.
	Dialect Dialect
	// Environment selects the platform's host. Defaults to
	// [EnvironmentProduction].
	Environment Environment
	// BaseURL is the address of another platform or of a receiver, such as
	// "https://events.example.com". It must use https, except on loopback. Its
	// path precedes that of the dialect. Defaults to the host of Environment.
	BaseURL string
	// HTTPClient sends the requests. New copies it, and the copy does not
	// follow redirects. Defaults to a client with HTTP/2, persistent
	// connections and TLS 1.2 or newer.
	HTTPClient *http.Client
	// Timeout bounds one attempt, from dialling to the last byte of the
	// response, with a millisecond more for each event. Defaults to 3 seconds:
	// a checkout may wait for it.
	Timeout time.Duration
	// TotalTimeout limits a Send with its waits and retries if the caller's
	// context has no deadline. Defaults to 30 seconds.
	TotalTimeout time.Duration
	// Retry configures the retries of a failed request.
	Retry Retry
	// RateLimit limits the requests of this client. Defaults to the published
	// limit of the dialect's endpoint.
	RateLimit RateLimit
	// Concurrency limits the concurrent requests of all Sends of this client.
	// Defaults to 8.
	Concurrency int
	// MaxBatchEvents limits the events of a request. Defaults to 10,000, the
	// maximum of LogEvent. ECAPI always sends one.
	MaxBatchEvents int
	// MaxBatchBytes limits the body of a request, in bytes. Defaults to 1 MiB,
	// since the platform may cut the connection of a larger one. An event that is
	// larger by itself is rejected.
	MaxBatchBytes int
	// Resolver finds the click of an event's ClickToken. It is usually the
	// [clickid.Tracker]. Without a resolver such events fail. A tracker also
	// tells whether user identities require consent; see [clickid.Event].Consent.
	Resolver clickid.Resolver
	// SendUnattributed sends events without anything to attribute them by. By
	// default they are skipped.
	SendUnattributed bool
	// KeepPageQuery sends query and fragment of PageURL, unless they contain an
	// e-mail address or a phone number. By default they are removed.
	KeepPageQuery bool
	// Logger logs every attempt: at level Debug if it succeeds, Warn if it
	// fails, and Error if the configuration is refused. Defaults to
	// slog.Default(). slog.New(slog.DiscardHandler) disables logging.
	Logger *slog.Logger
	// Hook is called synchronously and concurrently after every attempt. It must
	// be fast, since Send waits for it. Optional.
	Hook func(context.Context, Attempt)
}

// Format prints the configuration without the API key.
func (cfg Config) Format(s fmt.State, _ rune) {
	destination := ""
	if cfg.Dialect != nil {
		destination = cfg.Dialect.destination()
	}
	_, _ = fmt.Fprintf(s, "capi.Config{%T to %s}", cfg.Dialect, destination)
}

// LogValue returns the configuration without the API key.
func (cfg Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(cfg)) }

// Defaults of a [Config].
const (
	defaultTimeout      = 3 * time.Second
	defaultTotalTimeout = 30 * time.Second
	defaultConcurrency  = 8
	defaultBatchBytes   = 1 << 20
	minBatchBytes       = 16 << 10
)

// Client sends events to the platform now. It is safe for concurrent use. Use
// [New].
type Client struct {
	cfg      Config // checked, with defaults
	endpoint string
	host     string
	name     string // see Name
	overhead int    // bytes of a request without events
	http     *http.Client
	limiter  *limiter
	slots    chan struct{} // one for each request under way

	requiresConsent bool // of user identities

	hanging   hangGuard
	confirmed atomic.Bool // a response has confirmed an event
	warned    throttle    // of the warnings in the log
}

// New returns a client. Its error joins all problems of cfg. New makes no
// connection. Later changes of cfg have no effect.
func New(cfg Config) (*Client, error) {
	cfg.Dialect = dialectValue(cfg.Dialect)
	base, problems := cfg.endpointProblems()
	problems = append(problems, cfg.limitProblems()...)
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	cfg.fillIn()
	c := &Client{
		cfg:      cfg,
		endpoint: strings.TrimSuffix(base.String(), "/") + cfg.Dialect.path(),
		host:     base.Hostname(),
		name:     destinationName(cfg.Dialect, base.Hostname()),
		http:     apihttp.NewClient(cfg.HTTPClient, cfg.Concurrency),
		limiter:  newLimiter(cfg.RateLimit),
		slots:    make(chan struct{}, cfg.Concurrency),
	}
	if r, ok := cfg.Resolver.(interface{ RequiresConsent() bool }); ok {
		c.requiresConsent = r.RequiresConsent()
	}
	c.overhead = c.requestOf([]*outgoing{{}}).size
	return c, nil
}

// endpointProblems returns the platform's scheme and host, and what is wrong
// with the fields of the endpoint and the data set.
func (cfg *Config) endpointProblems() (*url.URL, []error) {
	var problems []error
	if cfg.Dialect == nil {
		problems = append(problems, errors.New("capi: Dialect is required: LogEvent or ECAPI"))
	} else {
		problems = append(problems, cfg.Dialect.problems()...)
	}
	if cfg.Environment != EnvironmentProduction && cfg.Environment != EnvironmentStaging {
		problems = append(problems, errors.New("capi: Environment must be EnvironmentProduction or EnvironmentStaging"))
	}
	base, err := baseURL(cfg)
	if err != nil {
		problems = append(problems, err)
	}
	ours := cfg.BaseURL == "" || err != nil || apihttp.IsLoopback(base.Hostname())
	if problem := apihttp.KeyProblem(cfg.APIKey, ours); problem != "" {
		problems = append(problems, errors.New("capi: "+problem))
	}
	return base, problems
}

// limitProblems returns what is wrong with the fields that bound requests.
func (cfg *Config) limitProblems() []error {
	problems := cfg.Retry.problems()
	for _, limit := range []struct {
		wrong   bool
		problem string
	}{
		{cfg.Timeout < 0 || cfg.TotalTimeout < 0, "Timeout and TotalTimeout must not be negative"},
		{cfg.RateLimit.Per < 0, "RateLimit.Per must not be negative"},
		{cfg.Concurrency < 0 || cfg.Concurrency > maxConcurrency, fmt.Sprintf("Concurrency must be from 1 to %d", maxConcurrency)},
		{cfg.MaxBatchEvents < 0 || cfg.MaxBatchEvents > maxLogEventEvents, fmt.Sprintf("MaxBatchEvents must be from 1 to %d", maxLogEventEvents)},
		{cfg.MaxBatchBytes < 0 || cfg.MaxBatchBytes > 0 && cfg.MaxBatchBytes < minBatchBytes, fmt.Sprintf("MaxBatchBytes must be at least %d", minBatchBytes)},
	} {
		if limit.wrong {
			problems = append(problems, errors.New("capi: "+limit.problem))
		}
	}
	return problems
}

// maxConcurrency is more than any platform allows.
const maxConcurrency = 1024

// fillIn replaces zero values with their defaults.
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

// dialectValue returns the dialect that a pointer points to, without reference
// to the caller's values. It returns nil for a nil pointer.
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
		return d.settled()
	case LogEvent:
		return d.settled()
	}
	return d
}

// baseURL returns the checked BaseURL, or the host of the environment. Its
// errors do not contain the URL, since it may contain a password.
func baseURL(cfg *Config) (*url.URL, error) {
	if cfg.BaseURL == "" {
		if cfg.Dialect == nil {
			return nil, nil
		}
		return url.Parse(cfg.Dialect.origin(cfg.Environment))
	}
	u, problem := apihttp.ParseBaseURL(cfg.BaseURL)
	if problem != "" {
		return nil, errors.New("capi: " + problem)
	}
	return u, nil
}

// Send checks the events and sends them in as few requests as the dialect
// allows. The report has a result for each event.
//
// Send ends at ctx's deadline, or after TotalTimeout if ctx has none. The error
// of an event that was not sent until then matches [ErrNotSent]. Events of the
// same type and ID are sent once and share a result. Send stops early if the
// platform refuses the configuration (see [ResponseError.Kind]) or asks to wait
// beyond ctx's deadline.
func (c *Client) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	if c == nil {
		return failAll(newEvents(events), errNilClient)
	}
	return c.send(ctx, c.cfg.Retry, newEvents(events))
}

func (c *Client) send(ctx context.Context, retry Retry, events source) (clickid.Report, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	results, ready := c.prepare(ctx, events, nil)
	c.deliver(ctx, retry, ready)
	report := newReport(results, ready)
	return report, report.Err()
}

var errNilClient = errors.New("capi: the client is nil; check the error of New")

// failAll returns a report in which all events failed with err.
func failAll(events source, err error) (clickid.Report, error) {
	report := clickid.Report{Results: make([]clickid.Result, events.length)}
	for i := range report.Results {
		e, _ := events.at(i)
		report.Results[i] = clickid.Result{Type: e.Type, ID: e.ID, Verdict: clickid.VerdictFailed, Err: err}
	}
	return report, report.Err()
}

// bounded returns a context that ends after the total timeout if ctx has no
// deadline.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.cfg.TotalTimeout)
}

// Format prints host and destination. %+v and %#v do not print the API key.
func (c *Client) Format(s fmt.State, _ rune) {
	if c == nil {
		_, _ = io.WriteString(s, "capi.Client(nil)")
		return
	}
	_, _ = io.WriteString(s, "capi.Client("+c.Name()+")")
}
