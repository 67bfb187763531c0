// Package clickidtest is a stand-in for the ad platform: it takes conversions
// over HTTP at the platform's paths, refuses whatever the platform's contract
// refuses, remembers what it accepted, and makes trouble on request.
//
//	srv := clickidtest.NewServer(t)
//	client, err := clickid.NewClient(clickid.ClientConfig{
//		APIKey:  clickidtest.APIKey,
//		BaseURL: srv.URL,
//		Dialect: clickid.ECAPI{DataSetID: clickidtest.DataSetID},
//	})
//	…
//	events := srv.Accepted()
//
// It is an independent reading of the contract: it shares no code with the
// client, and is not lenient to it.
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

// What the default configuration knows.
const (
	APIKey        = "scope3_test"
	DataSetID     = "ds_test"
	EventSourceID = "shop"
	AdvertiserID  = "adv_test"
)

// Any stands, as a name in an [Account], for every name. As the API key it
// stands for every key that begins with "scope3_".
const Any = "*"

// Config configures a [Receiver]. The zero value is the default.
type Config struct {
	// Accounts are the API keys and what each of them may use. Defaults to one
	// account of APIKey, DataSetID, EventSourceID and AdvertiserID.
	Accounts []Account
	// IAB makes the ECAPI endpoint take what the IAB standard has beyond
	// Scope3's dialect: further event types and members, currency_code, any
	// identity provider. Defaults to false.
	IAB bool
	// PartialFailures reports an event of a log_event request that breaks the
	// contract as a partial failure, where its ID can be read. By default it
	// has the whole request refused, with the place as "/events/1/event_type".
	PartialFailures bool
	// RateLimit bounds the requests of each client address. Defaults to no
	// limit.
	RateLimit RateLimit
	// MaxBytes is the size of a body from which on the connection is cut
	// without any answer, as it has been seen to happen. Defaults to 4 MiB.
	MaxBytes int
	// Keep is how many events, requests and idempotency keys are remembered,
	// the latest of each. Defaults to 100,000.
	Keep int
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
	// OnEvent is called for every event that could be read, accepted or not,
	// and OnRequest for every request. Both are called before the answer is
	// written, concurrently, and must not keep it waiting.
	OnEvent   func(Event)
	OnRequest func(Request)
}

// Account is an API key and what it may use.
type Account struct {
	// APIKey begins with "scope3_".
	APIKey string
	// DataSets are the data sets of ECAPI that the key has access to.
	DataSets []string
	// EventSources are the event sources of log_event that are registered.
	EventSources []string
	// Advertisers are those in the path of the Interchange endpoint.
	Advertisers []string
}

// RateLimit allows Requests within each time of length Per and answers 429 to
// others. The zero value is no limit.
type RateLimit struct {
	Requests int
	Per      time.Duration // Defaults to a minute.
}

const (
	defaultMaxBytes = 4 << 20
	defaultKeep     = 100_000
	apiKeyPrefix    = "scope3_"
)

// Receiver stands in for the platform. It is an [http.Handler] with state of
// its own and safe for concurrent use.
type Receiver struct {
	cfg Config

	mu       sync.Mutex
	ledger   ledger
	script   script
	windows  map[string]*window // of the rate limit, by client address
	arrived  int
	requests []*Request
	changed  chan struct{} // closed at the next change; nil when nobody waits
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
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Receiver{cfg: cfg, ledger: newLedger(cfg.Keep), windows: make(map[string]*window)}
}

// endpoint is one of the platform's, which differ in what they take and in the
// form of their answers.
type endpoint int

const (
	noEndpoint  endpoint = iota
	ecapi                // one event per request
	tracking             // log_event, bare answers
	interchange          // log_event, answers wrapped in data
)

// route returns the endpoint of a path and the advertiser in it, if any.
func route(path string) (e endpoint, advertiser string) {
	switch path {
	case "/agentic/v1/events":
		return ecapi, ""
	case "/agentic/v1/capi":
		return tracking, ""
	}
	rest, ok := strings.CutPrefix(path, "/api/v2/buyer/advertisers/")
	if !ok {
		return noEndpoint, ""
	}
	advertiser, ok = strings.CutSuffix(rest, "/log-event")
	if !ok || advertiser == "" || strings.Contains(advertiser, "/") {
		return noEndpoint, ""
	}
	return interchange, advertiser
}

// exchange is one request on its way through the receiver.
type exchange struct {
	*Receiver
	http       *http.Request
	endpoint   endpoint
	advertiser string
	record     *Request
	trouble    Trouble
	body       []byte
	account    Account
	events     []*Event // as far as they could be read
}

// ServeHTTP takes a request of the platform's API.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	x := &exchange{Receiver: r, http: req}
	x.endpoint, x.advertiser = route(req.URL.Path)
	x.arrive()
	var a answer
	if x.receive() {
		a = x.answer()
	}
	if x.trouble.Cut == CutAfterProcessing {
		a.status = 0
	}
	x.finish(a)
	if a.status == 0 {
		panic(http.ErrAbortHandler) // cuts the connection without an answer
	}
	a.write(w, x.trouble.Cut == CutMidAnswer)
}

// receive reads the request and reports whether it is to be answered.
func (x *exchange) receive() bool {
	if x.trouble.Cut == CutBeforeReading {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(x.http.Body, int64(x.cfg.MaxBytes)+1))
	if err != nil || len(body) > x.cfg.MaxBytes {
		return false
	}
	x.body = body
	return x.trouble.wait(x.http.Context()) && x.trouble.Cut != CutAfterReading
}

// answer decides about the request.
func (x *exchange) answer() answer {
	var a answer
	if x.trouble.replaces() {
		a = x.scripted()
	} else if a = x.judge(); x.trouble.Status != 0 && a.status == http.StatusOK {
		a.status = x.trouble.Status
	}
	return a.with(x.trouble.Header)
}

// judge applies the rules that hold for every endpoint, in the order in which
// a server meets them, and then the endpoint's own.
func (x *exchange) judge() answer {
	limit := x.limit()
	if limit.exceeded {
		return x.refuse(http.StatusTooManyRequests, Error{
			Code: "RATE_LIMITED", Message: "Too many requests", RetryAfter: limit.retryAfter, Recovery: "transient",
		}).with(limit.header())
	}
	a, ok := x.admit()
	if ok {
		if x.endpoint == ecapi {
			a = x.ecapi()
		} else {
			a = x.logEvent()
		}
	}
	return a.with(limit.header())
}

// admit checks path, method, key and content type. When ok is false the answer
// is final.
func (x *exchange) admit() (a answer, ok bool) {
	if x.endpoint == noEndpoint {
		return x.refuse(http.StatusNotFound, Error{Code: "NOT_FOUND", Message: "Not found"}), false
	}
	if x.http.Method != http.MethodPost {
		a := x.refuse(http.StatusMethodNotAllowed, Error{Code: "METHOD_NOT_ALLOWED", Message: "Method not allowed"})
		return a.with(http.Header{"Allow": {http.MethodPost}}), false
	}
	account, known := x.authorise()
	if !known {
		a := x.refuse(http.StatusUnauthorized, Error{Code: "UNAUTHORIZED", Message: "Unauthorized"})
		return a.with(http.Header{"Www-Authenticate": {"Bearer"}}), false
	}
	x.account = account
	if x.endpoint == interchange && !permits(account.Advertisers, x.advertiser) {
		return x.refuse(http.StatusForbidden, Error{Code: "ACCESS_DENIED", Message: "Access denied to advertiser"}), false
	}
	if !isJSON(x.http.Header) {
		return x.refuse(http.StatusUnsupportedMediaType, Error{Code: "UNSUPPORTED_MEDIA_TYPE", Message: "Content-Type must be application/json"}), false
	}
	return answer{}, true
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

// malformed is the refusal of a body that is no JSON.
func (x *exchange) malformed() answer {
	return x.refuse(http.StatusBadRequest, Error{Code: "BAD_REQUEST", Message: "Invalid JSON payload"})
}

// invalid is the refusal of a request that breaks the contract.
func (x *exchange) invalid(problems []Problem) answer {
	e := Error{Code: "VALIDATION_ERROR", Message: "Validation error", Recovery: "correctable", Issues: problems}
	if len(problems) > 0 {
		e.Field = problems[0].Field
		if x.endpoint != ecapi {
			e.Message = fmt.Sprintf("%s %s", problems[0].Field, problems[0].Message)
		}
	}
	return x.refuse(http.StatusBadRequest, e)
}
