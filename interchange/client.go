package interchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/apihttp"
	"github.com/clickid/clickid/internal/rawjson"
	"github.com/clickid/clickid/internal/text"
)

// The hosts of the platform.
const (
	ProductionURL = "https://api.interchange.io"
	// StagingURL appears in public material. It is not known to be in
	// operation.
	StagingURL = "https://api.agentic.staging.scope3.com"
)

// Config configures a [Client].
type Config struct {
	// APIKey authorizes the requests. It must begin with "scope3_" unless
	// BaseURL is that of another platform. Required. It does not appear in
	// errors and logs.
	APIKey string `json:"-"`
	// AdvertiserID is the advertiser with the event sources: 1 to 128 characters
	// of [A-Za-z0-9._~-]. Required, except for [Client.Account].
	AdvertiserID string
	// BaseURL is the address of the API: [ProductionURL], [StagingURL], or that
	// of a receiver. It must use https, except on loopback. Its path precedes
	// "/api/v2". Defaults to ProductionURL.
	BaseURL string
	// HTTPClient sends the requests. New copies it, and the copy does not
	// follow redirects. Defaults to a client with HTTP/2, persistent
	// connections and TLS 1.2 or newer.
	HTTPClient *http.Client
	// Timeout limits a request, from dialling to the last byte of the response.
	// Defaults to 10 seconds.
	Timeout time.Duration
}

// Format prints the configuration without the API key.
func (cfg Config) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "interchange.Config{advertiser %s}", cfg.AdvertiserID)
}

// LogValue returns the configuration without the API key.
func (cfg Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(cfg)) }

const (
	defaultTimeout   = 10 * time.Second
	maxAdvertiserID  = 128
	maxConnections   = 4
	maxResponseBytes = 8 << 20 // 250 event sources of the largest size fit
	maxErrorBody     = 4 << 10 // of a response that an error keeps
)

// Client calls the management API. It is safe for concurrent use. Use [New].
type Client struct {
	cfg       Config // checked, with defaults, without the API key
	authorize func(http.Header)
	origin    string // of all requests, without a final slash
	host      string
	http      *http.Client
	limiter   *limiter
}

// New returns a client. Its error joins all problems of cfg. New makes no
// connection. Later changes of cfg have no effect.
func New(cfg Config) (*Client, error) {
	var problems []error
	report := func(problem string) {
		if problem != "" {
			problems = append(problems, errors.New("interchange: "+problem))
		}
	}
	platform := cfg.BaseURL == "" || cfg.BaseURL == ProductionURL || cfg.BaseURL == StagingURL
	if cfg.BaseURL == "" {
		cfg.BaseURL = ProductionURL
	}
	base, problem := apihttp.ParseBaseURL(cfg.BaseURL)
	report(problem)
	report(apihttp.KeyProblem(cfg.APIKey, platform || problem != "" || apihttp.IsLoopback(base.Hostname())))
	if id := cfg.AdvertiserID; id != "" && (!text.Unreserved(id, maxAdvertiserID) || id == "." || id == "..") {
		report(fmt.Sprintf("AdvertiserID must be 1 to %d characters of [A-Za-z0-9._~-]", maxAdvertiserID))
	}
	if cfg.Timeout < 0 {
		report("Timeout must not be negative")
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	// Formatting cannot print what a function has captured.
	authorization := "Bearer " + cfg.APIKey
	cfg.APIKey = ""
	return &Client{
		cfg:       cfg,
		authorize: func(h http.Header) { h.Set("Authorization", authorization) },
		origin:    strings.TrimSuffix(base.String(), "/"),
		host:      base.Hostname(),
		http:      apihttp.NewClient(cfg.HTTPClient, maxConnections),
		limiter:   &limiter{},
	}, nil
}

// Format prints host and advertiser. %+v and %#v do not print the API key.
func (c *Client) Format(s fmt.State, _ rune) {
	if c == nil {
		_, _ = io.WriteString(s, "interchange.Client(nil)")
		return
	}
	_, _ = fmt.Fprintf(s, "interchange.Client(%s %s)", c.host, c.cfg.AdvertiserID)
}

var (
	errNilClient    = errors.New("interchange: the client is nil; check the error of New")
	errNoAdvertiser = errors.New("interchange: AdvertiserID is required for event sources and summaries; set Config.AdvertiserID")
)

// ready returns why the client cannot be used, or nil.
func (c *Client) ready(advertiser bool) error {
	switch {
	case c == nil:
		return errNilClient
	case c.http == nil:
		return errors.New("interchange: the client is not made by New")
	case advertiser && c.cfg.AdvertiserID == "":
		return errNoAdvertiser
	}
	return nil
}

// Account is the account of the API key. Members that are missing in the
// response are empty.
type Account struct {
	// ID is the account's ID. Company, Name and Role are texts of the platform.
	ID      string
	Company string
	Name    string
	Role    string
}

// Account returns the account of the API key. The error matches
// [ErrUnauthorized] if the key is wrong.
func (c *Client) Account(ctx context.Context) (Account, error) {
	if err := c.ready(false); err != nil {
		return Account{}, err
	}
	o, err := c.call(ctx, "check the API key", http.MethodGet, "/api/v2/accounts/current", nil, nil)
	if err != nil {
		return Account{}, err
	}
	a := Account{ID: o.text("id"), Company: o.text("company"), Name: o.text("name"), Role: o.text("role")}
	return a, o.complete(a.ID != "")
}

// advertiserPath returns a path below the advertiser.
func (c *Client) advertiserPath(rest string) string {
	return "/api/v2/buyer/advertisers/" + c.cfg.AdvertiserID + rest
}

// maxWaits limits the waits of a call after status 429.
const maxWaits = 3

// call sends a request and returns the object of its response. doing describes
// the call in errors.
func (c *Client) call(ctx context.Context, doing, method, path string, query url.Values, body any) (*object, error) {
	var payload []byte
	if body != nil {
		encoded, err := rawjson.Encode(body)
		if err != nil {
			return nil, fmt.Errorf("interchange: %s: encoding the request: %w", doing, err)
		}
		payload = encoded
	}
	for waits := 0; ; waits++ {
		if delay, err := c.limiter.wait(ctx); err != nil {
			e := &Error{doing: doing, problem: "no response from the platform: " + apihttp.Classify(ctx, err).Cause, Err: err}
			if ctx.Err() == nil {
				e.problem, e.retryAfter = fmt.Sprintf("the platform's rate limit resets in %v", delay.Round(time.Second)), delay
			}
			return nil, e
		}
		o, err := c.send(ctx, doing, method, path, query, payload)
		if err == nil {
			return o, nil
		}
		if err.status != http.StatusTooManyRequests || waits == maxWaits {
			return nil, err
		}
		if !c.limiter.admits(ctx) {
			return nil, err
		}
	}
}

// send sends a request once.
func (c *Client) send(ctx context.Context, doing, method, path string, query url.Values, payload []byte) (*object, *Error) {
	attempt, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	address := c.origin + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	fail := func(err error) *Error {
		return &Error{doing: doing, problem: "no response from the platform: " + apihttp.Classify(ctx, err).Cause, Err: err}
	}
	req, err := http.NewRequestWithContext(attempt, method, address, bytes.NewReader(payload))
	if err != nil {
		return nil, fail(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", apihttp.UserAgent)
	c.authorize(req.Header)
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := apihttp.Do(c.http, req)
	if err != nil {
		return nil, fail(err)
	}
	defer func() { _ = resp.Body.Close() }()
	now := time.Now()
	c.limiter.learn(resp.StatusCode, resp.Header, now)
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBytes+1))
	if err != nil && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil, fail(err)
	}
	return readResponse(doing, resp.StatusCode, resp.Header, content, now)
}
