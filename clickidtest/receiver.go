// Package clickidtest provides a receiver: a local stand-in for the ad
// platform. It accepts conversions over HTTP at the platform's paths, refuses
// what the platform's contract refuses, records the events it accepted, and
// injects faults on request.
//
//	srv := clickidtest.NewServer(t)
//	client, err := capi.New(capi.Config{
//		APIKey:  clickidtest.APIKey,
//		BaseURL: srv.URL,
//		Dialect: capi.ECAPI{DataSetID: clickidtest.DataSetID},
//	})
//	…
//	events := srv.Accepted()
//
// The receiver is an independent implementation of the contract. It shares no
// code with the client and is at least as strict.
package clickidtest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The account of the default configuration.
const (
	APIKey        = "scope3_test"
	DataSetID     = "ds_test"
	EventSourceID = "shop"
	AdvertiserID  = "adv_test"
)

// Any in a list of an [Account] allows every name. As the API key it allows
// every key that begins with "scope3_".
const Any = "*"

// Config configures a [Receiver]. The zero value is the default.
type Config struct {
	// Accounts are the API keys and their permissions. Defaults to one account
	// of APIKey, DataSetID, EventSourceID and AdvertiserID.
	Accounts []Account
	// IAB makes the ECAPI endpoint accept the whole IAB standard, not only
	// Scope3's dialect: further event types and members, currency_code, any
	// identity provider. Defaults to false.
	IAB bool
	// PartialFailures reports an invalid event of a log_event request as a
	// partial failure if its ID can be read. By default an invalid event fails
	// the whole request, with a field such as "/events/1/event_type".
	PartialFailures bool
	// RateLimit limits the requests of each client address. Defaults to no
	// limit.
	RateLimit RateLimit
	// MaxBytes is the largest request body. The connection of a larger one is
	// cut without a response, as real servers do. Defaults to 4 MiB.
	MaxBytes int
	// Keep is the number of events, of requests and of idempotency keys that
	// are kept; the oldest are dropped. Defaults to 100,000.
	Keep int
	// KeepBytes limits the JSON of the events that are kept, and separately that
	// of the idempotency keys, in bytes. Defaults to no limit.
	KeepBytes int
	// KeyLifetime is how long the response to an idempotency key is repeated.
	// Later requests with the key are refused with IDEMPOTENCY_EXPIRED. Defaults
	// to a day.
	KeyLifetime time.Duration
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
	// OnEvent is called for every event that could be read, accepted or not,
	// OnRequest for every request, and OnExchange for every request together
	// with its events and its response. They are called concurrently and before
	// the response is written, so they must not block.
	OnEvent    func(Event)
	OnRequest  func(Request)
	OnExchange func(Exchange)
}

// Account is an API key with its permissions.
type Account struct {
	// APIKey begins with "scope3_".
	APIKey string
	// DataSets are the ECAPI data sets that the key has access to.
	DataSets []string
	// EventSources are the registered event sources of log_event. Any registers
	// each source at its first event.
	EventSources []string
	// Advertisers are allowed in the path of the Interchange endpoint.
	Advertisers []string
}

// RateLimit allows a number of requests per time. The response to others has
// status 429. The zero value sets no limit.
type RateLimit struct {
	Requests int           // Requests is the number within Per; 0 means no limit.
	Per      time.Duration // Per defaults to a minute.
}

const (
	defaultMaxBytes = 4 << 20
	defaultKeep     = 100_000
	apiKeyPrefix    = "scope3_"
)

// Receiver stands in for the platform. It is an [http.Handler] and safe for
// concurrent use.
type Receiver struct {
	cfg Config

	mu       sync.Mutex
	ledger   ledger
	script   script
	quotas   map[string]*quota // of the rate limit, by client address
	sources  registry
	arrived  int
	cleared  int // those that arrived before Clear
	requests []*Request
	changed  chan struct{} // closed at the next change; nil without waiters
	asked    func(string)  // see problems
}

// New returns a receiver. Later changes of cfg have no effect.
func New(cfg Config) *Receiver {
	if len(cfg.Accounts) == 0 {
		cfg.Accounts = []Account{{
			APIKey:       APIKey,
			DataSets:     []string{DataSetID},
			EventSources: []string{EventSourceID},
			Advertisers:  []string{AdvertiserID},
		}}
	}
	cfg.Accounts = slices.Clone(cfg.Accounts)
	if cfg.RateLimit.Per <= 0 {
		cfg.RateLimit.Per = time.Minute
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.Keep <= 0 {
		cfg.Keep = defaultKeep
	}
	if cfg.KeyLifetime <= 0 {
		cfg.KeyLifetime = 24 * time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Receiver{cfg: cfg, ledger: newLedger(&cfg), quotas: make(map[string]*quota)}
}

// endpoint is an endpoint of the platform. Endpoints differ in the events they
// accept and in the form of their responses.
type endpoint int

const (
	endpointNone        endpoint = iota
	endpointECAPI                // one event per request
	endpointTracking             // log_event, bare responses
	endpointInterchange          // log_event, responses wrapped in data

	// The management API; see isManagement.
	endpointAccount
	endpointSources
	endpointSync
	endpointSummary
)

// route returns the endpoint of a path and the advertiser in it, if any.
func route(path string) (e endpoint, advertiser string) {
	switch path {
	case "/agentic/v1/events":
		return endpointECAPI, ""
	case "/agentic/v1/capi":
		return endpointTracking, ""
	}
	return routeInterchange(path)
}

// exchange is a request in progress.
type exchange struct {
	*Receiver
	http       *http.Request
	endpoint   endpoint
	advertiser string
	record     *Request
	fault      Fault
	body       []byte
	account    Account
	events     []*Event // those that could be read
}

// ServeHTTP handles a request of the platform's API.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	x := &exchange{Receiver: r, http: req}
	x.endpoint, x.advertiser = route(req.URL.Path)
	x.arrive()
	var resp response
	if x.receive() {
		resp = x.respond()
	}
	x.readUnprocessed()
	if x.fault.Cut == CutAfterProcessing {
		resp.status = 0
	}
	x.finish(resp)
	if resp.status == 0 {
		panic(http.ErrAbortHandler) // cuts the connection without a response
	}
	resp.write(w, x.fault.Cut == CutMidResponse)
}

// receive reads the request and reports whether to process it.
func (x *exchange) receive() bool {
	if x.fault.Cut == CutBeforeReading {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(x.http.Body, int64(x.cfg.MaxBytes)+1))
	if err != nil || len(body) > x.cfg.MaxBytes {
		return false
	}
	x.body = body
	return x.fault.wait(x.http.Context()) && x.fault.Cut != CutAfterReading
}

// respond returns the response: that of the fault, or that of the contract
// with the changes of the fault.
func (x *exchange) respond() response {
	var resp response
	if x.fault.replaces() {
		resp = x.scripted()
	} else if resp = x.process(); x.fault.Status != 0 && resp.status == http.StatusOK {
		resp.status = x.fault.Status
	}
	return x.fault.disguise(resp).with(x.fault.Header)
}

// process applies the rules that hold for every endpoint, and then those of
// the endpoint.
func (x *exchange) process() response {
	limit := x.limit()
	if limit.exceeded {
		return x.refuse(http.StatusTooManyRequests, Error{
			Code: "RATE_LIMITED", Message: "Too many requests", RetryAfter: limit.retryAfter, Recovery: "transient",
		}).with(limit.header())
	}
	resp, ok := x.admit()
	if ok {
		switch {
		case x.endpoint == endpointECAPI:
			resp = x.ecapi()
		case x.endpoint.isManagement():
			resp = x.manage()
		default:
			resp = x.logEvent()
		}
	}
	return resp.with(limit.header())
}

// admit checks path, method, key and content type. If ok is false, the
// response is final.
func (x *exchange) admit() (resp response, ok bool) {
	if x.endpoint == endpointNone {
		return x.refuse(http.StatusNotFound, Error{Code: "NOT_FOUND", Message: "Not found"}), false
	}
	if x.http.Method != x.endpoint.method() {
		resp := x.refuse(http.StatusMethodNotAllowed, Error{Code: "METHOD_NOT_ALLOWED", Message: "Method not allowed"})
		return resp.with(http.Header{"Allow": {x.endpoint.method()}}), false
	}
	account, known := x.authorise()
	if !known {
		resp := x.refuse(http.StatusUnauthorized, Error{Code: "UNAUTHORIZED", Message: "Unauthorized"})
		return resp.with(http.Header{"Www-Authenticate": {"Bearer"}}), false
	}
	x.account = account
	if x.advertiser != "" && !permits(account.Advertisers, x.advertiser) {
		return x.refuse(http.StatusForbidden, Error{Code: "ACCESS_DENIED", Message: "Access denied to advertiser"}), false
	}
	if x.http.Method == http.MethodPost && !isJSON(x.http.Header) {
		return x.refuse(http.StatusUnsupportedMediaType, Error{Code: "UNSUPPORTED_MEDIA_TYPE", Message: "Content-Type must be application/json"}), false
	}
	return response{}, true
}

// authorise returns the account of the request's API key.
func (x *exchange) authorise() (Account, bool) {
	values := x.http.Header.Values("Authorization")
	if len(values) != 1 {
		return Account{}, false
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(key, apiKeyPrefix) || key == apiKeyPrefix {
		return Account{}, false
	}
	for _, account := range x.cfg.Accounts {
		if account.APIKey == key || account.APIKey == Any {
			account.APIKey = key
			return account, true
		}
	}
	return Account{}, false
}

func permits(names []string, name string) bool {
	return slices.Contains(names, name) || slices.Contains(names, Any)
}

// payload returns the object in the body. If o is nil, the response refuses the
// body.
func (x *exchange) payload(p *problems) (o *object, refusal response) {
	parsed, err := parse(x.body)
	if err != nil {
		return nil, x.refuse(http.StatusBadRequest, Error{Code: "BAD_REQUEST", Message: "Invalid JSON payload"})
	}
	if o = p.newObject("", parsed); o == nil {
		p.found[0].Message = "the body must be an object"
		return nil, x.invalid(p.found)
	}
	return o, response{}
}

// invalid refuses a request that breaks the contract.
func (x *exchange) invalid(problems []Problem) response {
	e := Error{Code: "VALIDATION_ERROR", Message: "Validation error", Recovery: "correctable", Issues: problems}
	if len(problems) > 0 {
		e.Field = problems[0].Field
		if x.endpoint != endpointECAPI {
			e.Message = fmt.Sprintf("%s %s", problems[0].Field, problems[0].Message)
		}
	}
	return x.refuse(http.StatusBadRequest, e)
}
