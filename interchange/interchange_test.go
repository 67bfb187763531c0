package interchange_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/interchange"
	"github.com/stretchr/testify/require"
)

// newClient returns a client of a receiver.
func newClient(t testing.TB, srv *clickidtest.Server) *interchange.Client {
	t.Helper()
	c, err := interchange.New(interchange.Config{
		APIKey: clickidtest.APIKey, AdvertiserID: clickidtest.AdvertiserID, BaseURL: srv.URL,
	})
	require.NoError(t, err)
	return c
}

// platform is a transport with responses in order. It repeats the last one.
type platform struct {
	mu        sync.Mutex
	responses []func() *http.Response
	requests  []*http.Request
	bodies    []string
}

func (p *platform) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.bodies = append(p.requests, r), append(p.bodies, body)
	resp := p.responses[min(len(p.requests), len(p.responses))-1]()
	resp.Request = r
	return resp, nil
}

func (p *platform) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests)
}

// reply returns a response. A header has the form "Name: value".
func reply(status int, body string, headers ...string) func() *http.Response {
	return func() *http.Response {
		header := http.Header{}
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			header.Set(name, value)
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
	}
}

// clientOf returns a client of the production host with responses in order.
func clientOf(t testing.TB, responses ...func() *http.Response) (*interchange.Client, *platform) {
	t.Helper()
	p := &platform{responses: responses}
	c, err := interchange.New(interchange.Config{APIKey: "scope3_secret", AdvertiserID: "adv-1", HTTPClient: &http.Client{Transport: p}})
	require.NoError(t, err)
	return c, p
}

func TestNew_problems(t *testing.T) {
	t.Parallel()
	_, err := interchange.New(interchange.Config{AdvertiserID: "a/b", BaseURL: "http://user:secret@platform.example", Timeout: -1})
	for _, part := range []string{"APIKey is required", "AdvertiserID", "BaseURL", "Timeout"} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "secret")
	for name, cfg := range map[string]interchange.Config{
		"a key of another platform":               {APIKey: "sk_live"},
		"a key of another platform, for staging":  {APIKey: "sk_live", BaseURL: interchange.StagingURL},
		"a key of another platform, for receiver": {APIKey: "sk_live", BaseURL: "http://127.0.0.1:1"},
		"a line break":            {APIKey: "scope3_a\n"},
		"a dot as the advertiser": {APIKey: "scope3_a", AdvertiserID: ".."},
	} {
		_, err := interchange.New(cfg)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "sk_live")
	}
	for _, cfg := range []interchange.Config{
		{APIKey: "scope3_a"},
		{APIKey: "scope3_a", BaseURL: interchange.StagingURL, AdvertiserID: "12345"},
		{APIKey: "sk_live", BaseURL: "https://other.example/prefix/"},
	} {
		_, err := interchange.New(cfg)
		require.NoError(t, err)
	}
}

func TestClient_printsNoKey(t *testing.T) {
	t.Parallel()
	cfg := interchange.Config{APIKey: "scope3_secret", AdvertiserID: "adv-1"}
	c, err := interchange.New(cfg)
	require.NoError(t, err)
	//lint:ignore SA1026 the function is nil, and Config leaves it out
	encoded, err := json.Marshal(cfg)
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "cfg", cfg, "client", c)
	printed := string(encoded) + log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		printed += fmt.Sprintf(verb, cfg) + fmt.Sprintf(verb, c) + fmt.Sprintf(verb, *c)
	}
	require.NotContains(t, printed, "secret")
	require.Contains(t, printed, "adv-1")
}

func TestClient_nil(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]*interchange.Client{"nil": nil, "zero": {}} {
		_, err := c.Account(ctx)
		require.Error(t, err, name)
		_, err = c.Sync(ctx, interchange.EventSource{ID: "a"})
		require.Error(t, err, name)
		_, err = c.SyncAndArchive(ctx, interchange.EventSource{ID: "a"})
		require.Error(t, err, name)
		_, err = c.EventSources(ctx)
		require.Error(t, err, name)
		_, err = c.Summary(ctx, interchange.SummaryQuery{})
		require.Error(t, err, name)
		_ = fmt.Sprintf("%v", c)
	}
	c, err := interchange.New(interchange.Config{APIKey: "scope3_a"})
	require.NoError(t, err)
	_, err = c.EventSources(ctx)
	require.ErrorContains(t, err, "AdvertiserID is required")
}

func TestClient_account(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	a, err := newClient(t, srv).Account(context.Background())
	require.NoError(t, err)
	require.Equal(t, interchange.Account{ID: "account_test", Company: "Test company", Name: "Test account", Role: "ADMIN"}, a)

	c, err := interchange.New(interchange.Config{APIKey: "scope3_wrong", BaseURL: srv.URL})
	require.NoError(t, err)
	_, err = c.Account(context.Background())
	require.ErrorIs(t, err, interchange.ErrUnauthorized)
	require.EqualError(t, err, "interchange: check the API key: the platform refused the request with status 401 Unauthorized, UNAUTHORIZED; check the API key")

	bare, _ := clientOf(t, reply(200, `{"id":42,"company":"Acme"}`))
	a, err = bare.Account(context.Background())
	require.NoError(t, err)
	require.Equal(t, interchange.Account{ID: "42", Company: "Acme"}, a)
}

// everything is an event source with every member.
var everything = interchange.EventSource{
	ID: "shop-2", Name: "Shop", EventTypes: []string{"purchase", "refund"}, AllowedDomains: []string{"shop.example"},
	IntegrationPlatform: "own", TestEventCode: "T1", ValueCurrencies: []string{"USD", "EUR"},
	Mapping: &interchange.Mapping{
		EventIDField: "a", EventTypeField: "b", EventTimeField: "c", UserMatchFields: []string{"sc3clid", "email"}, ValueField: "d",
		CurrencyField: "e", OrderIDField: "f", ContentIDsField: "g", ConsentField: "h", DedupeStrategy: "i", Notes: "j",
	},
}

func TestClient_syncAndList(t *testing.T) {
	t.Parallel()
	srv, ctx := clickidtest.NewServer(t), context.Background()
	c := newClient(t, srv)
	results, err := c.Sync(ctx, everything, interchange.EventSource{ID: "shop"})
	require.NoError(t, err)
	require.Len(t, results, 2)
	require.Equal(t, interchange.ActionCreated, results[0].Action)
	require.NotEmpty(t, results[0].Instructions)
	require.Equal(t, interchange.ActionUpdated, results[1].Action)
	results, err = c.Sync(ctx, everything)
	require.NoError(t, err)
	require.Equal(t, []interchange.SyncResult{{ID: "shop-2", Action: interchange.ActionUnchanged}}, results)

	sources, err := c.EventSources(ctx)
	require.NoError(t, err)
	require.Len(t, sources, 2, "the one that is not named stays")
	require.Equal(t, everything, sources[1].EventSource, "nothing is lost between sync and list")
	require.Equal(t, interchange.HealthNotSeen, sources[1].Health.Status)
	require.WithinDuration(t, time.Now(), sources[1].CreatedAt, time.Minute)

	for _, request := range srv.Requests() {
		require.NotContains(t, request.Path, "delete")
	}
	results, err = c.SyncAndArchive(ctx, everything)
	require.NoError(t, err)
	require.Equal(t, []interchange.SyncResult{
		{ID: "shop-2", Action: interchange.ActionUnchanged}, {ID: "shop", Action: interchange.ActionDeleted},
	}, results)
	sources, err = c.EventSources(ctx)
	require.NoError(t, err)
	require.Len(t, sources, 1)
}

func TestClient_syncRequest(t *testing.T) {
	t.Parallel()
	c, p := clientOf(t, reply(200, `{"event_sources":[{"event_source_id":"shop","action":"updated"}]}`))
	_, err := c.Sync(context.Background(), interchange.EventSource{ID: "shop"})
	require.NoError(t, err)
	require.JSONEq(t, `{"account":{"account_id":"adv-1"},"event_sources":[{"event_source_id":"shop"}]}`, p.bodies[0], "without delete_missing")
	require.Equal(t, "https://api.interchange.io/api/v2/buyer/advertisers/adv-1/event-sources/sync", p.requests[0].URL.String())
	require.Equal(t, "Bearer scope3_secret", p.requests[0].Header.Get("Authorization"))

	_, err = c.SyncAndArchive(context.Background(), interchange.EventSource{ID: "shop"})
	require.NoError(t, err)
	require.JSONEq(t, `{"account":{"account_id":"adv-1"},"event_sources":[{"event_source_id":"shop"}],"delete_missing":true}`, p.bodies[1])
}

func TestClient_syncFailures(t *testing.T) {
	t.Parallel()
	shop := interchange.EventSource{ID: "shop"}
	for name, tt := range map[string]struct {
		body, want string
		action     interchange.Action
	}{
		"an error with a code":       {`{"data":{"event_sources":[{"event_source_id":"shop","action":"failed","error":{"code":"CONFLICT","message":"anna@example.com"}}]}}`, "CONFLICT", interchange.ActionFailed},
		"an error that is text":      {`{"event_sources":[{"event_source_id":"shop","action":"failed","error":"anna@example.com"}]}`, `"shop"`, interchange.ActionFailed},
		"no error":                   {`{"event_sources":[{"event_source_id":"shop","action":"failed"}]}`, `"shop"`, interchange.ActionFailed},
		"an unknown action":          {`{"event_sources":[{"event_source_id":"shop","action":"maybe"}]}`, `"shop"`, interchange.ActionFailed},
		"no action":                  {`{"event_sources":[{"event_source_id":"shop"}]}`, `"shop"`, interchange.ActionFailed},
		"deleted although asked for": {`{"event_sources":[{"event_source_id":"shop","action":"deleted"}]}`, `"shop"`, interchange.ActionFailed},
		"not mentioned":              {`{"event_sources":[]}`, "does not mention it", interchange.ActionFailed},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := clientOf(t, reply(200, tt.body))
			results, err := c.Sync(context.Background(), shop)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "anna")
			require.Len(t, results, 1)
			require.Equal(t, tt.action, results[0].Action)
			require.ErrorContains(t, results[0].Err, tt.want)
		})
	}
}

func TestClient_syncChecks(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("é", n) }
	c, p := clientOf(t, reply(200, `{}`))
	many := make([]interchange.EventSource, 51)
	for i := range many {
		many[i].ID = fmt.Sprint(i)
	}
	for want, sources := range map[string][]interchange.EventSource{
		"1 to 50":                        {},
		"not 51":                         many,
		"ID must":                        {{}},
		"event source 1: ID must differ": {{ID: "a"}, {ID: "a"}},
		"Name must":                      {{ID: "a", Name: long(256)}},
		"ID must be":                     {{ID: long(256)}},
		"EventTypes":                     {{ID: "a", EventTypes: []string{"Purchase!"}}},
		"AllowedDomains":                 {{ID: "a", AllowedDomains: []string{"https://shop.example"}}},
		"IntegrationPlatform":            {{ID: "a", IntegrationPlatform: long(129)}},
		"TestEventCode":                  {{ID: "a", TestEventCode: "a\nb"}},
		"ValueCurrencies":                {{ID: "a", ValueCurrencies: []string{"usd"}}},
		"Mapping.ValueField":             {{ID: "a", Mapping: &interchange.Mapping{ValueField: long(257)}}},
		"Mapping.UserMatchFields":        {{ID: "a", Mapping: &interchange.Mapping{UserMatchFields: []string{""}}}},
		"Mapping.DedupeStrategy":         {{ID: "a", Mapping: &interchange.Mapping{DedupeStrategy: long(1025)}}},
		"Mapping.Notes":                  {{ID: "a", Mapping: &interchange.Mapping{Notes: long(2049)}}},
		"event source 1: ID must":        {{ID: "a"}, {ID: ""}},
		"event source 1: Name must":      {{ID: "a", Name: long(255)}, {ID: "b", Name: long(256)}},
	} {
		_, err := c.Sync(context.Background(), sources...)
		require.ErrorContains(t, err, want)
	}
	require.Zero(t, p.count(), "no request is sent")
}

func TestClient_listPages(t *testing.T) {
	t.Parallel()
	page := func(from, n, total int) func() *http.Response {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"eventSourceId":"s%d"}`, from+i))
		}
		return reply(200, fmt.Sprintf(`{"eventSources":[%s],"total":%d}`, strings.Join(list, ","), total))
	}
	for name, tt := range map[string]struct {
		pages          []func() *http.Response
		want, requests int
	}{
		"none":                          {[]func() *http.Response{page(0, 0, 0)}, 0, 1},
		"two pages":                     {[]func() *http.Response{page(0, 250, 300), page(250, 50, 300)}, 300, 2},
		"pages that overlap":            {[]func() *http.Response{page(0, 250, 300), page(200, 100, 300)}, 300, 2},
		"fewer than announced":          {[]func() *http.Response{page(0, 250, 600), page(250, 0, 600)}, 250, 2},
		"a server that ignores skip":    {[]func() *http.Response{page(0, 250, 9000)}, 250, 2},
		"a smaller page than asked for": {[]func() *http.Response{page(0, 100, 150), page(100, 50, 150)}, 150, 2},
		"no total":                      {[]func() *http.Response{reply(200, `{"eventSources":[{"eventSourceId":"a"}]}`)}, 1, 1},
		"a total that is text":          {[]func() *http.Response{reply(200, `{"eventSources":[{"eventSourceId":"a"}],"total":"many"}`)}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := clientOf(t, tt.pages...)
			sources, err := c.EventSources(context.Background())
			require.NoError(t, err)
			require.Len(t, sources, tt.want)
			require.Equal(t, tt.requests, p.count())
			require.Equal(t, "skip=0&take=250", p.requests[0].URL.RawQuery)
		})
	}
}

func TestClient_healthAndSummary(t *testing.T) {
	t.Parallel()
	srv, ctx := clickidtest.NewServer(t), context.Background()
	sender, err := capi.New(capi.Config{
		APIKey: clickidtest.APIKey, BaseURL: srv.URL, Logger: slog.New(slog.DiscardHandler),
		Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID, AdvertiserID: clickidtest.AdvertiserID},
	})
	require.NoError(t, err)
	at := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	_, err = sender.Send(ctx, clickid.Event{
		Type: clickid.Purchase, ID: "1", Time: at, Value: clickid.Minor(100, "USD"),
		Click: clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid"},
	})
	require.NoError(t, err)

	c := newClient(t, srv)
	sources, err := c.EventSources(ctx)
	require.NoError(t, err)
	h := sources[0].Health
	require.Equal(t, interchange.HealthReceiving, h.Status)
	require.Equal(t, "purchase", h.LastEventType)
	require.Equal(t, at.UTC(), h.LastEventAt)
	require.WithinDuration(t, time.Now(), h.LastEventReceivedAt, time.Minute)
	require.Zero(t, h.LastErrorAt)

	start := at.Truncate(time.Hour)
	s, err := c.Summary(ctx, interchange.SummaryQuery{Start: start, End: start.Add(time.Hour), Class: interchange.ClassConversion})
	require.NoError(t, err)
	require.Equal(t, interchange.Summary{
		Start: start.UTC(), End: start.Add(time.Hour).UTC(), Total: 1,
		Hours: []interchange.HourCount{{Hour: start.UTC(), Class: interchange.ClassConversion, Count: 1}},
	}, s)
	s, err = c.Summary(ctx, interchange.SummaryQuery{})
	require.NoError(t, err)
	require.Equal(t, s.Start.Add(time.Hour), s.End)
}

func TestClient_summaryQuery(t *testing.T) {
	t.Parallel()
	c, p := clientOf(t, reply(200, `{"entries":[{"eventHour":"2026-03-27T14:00:00Z","eventType":"click","eventCount":2},{"eventHour":"2026-03-27T15:00:00Z","eventType":"click","eventCount":3}]}`))
	hour := time.Date(2026, 3, 27, 14, 0, 0, 0, time.FixedZone("", 3600))
	for name, q := range map[string]interchange.SummaryQuery{
		"only a start":     {Start: hour},
		"only an end":      {End: hour},
		"no full hour":     {Start: hour.Add(time.Minute), End: hour.Add(time.Hour)},
		"an end before it": {Start: hour, End: hour.Add(-time.Hour)},
		"no hour":          {Start: hour, End: hour},
		"a type as class":  {Class: "purchase"},
	} {
		_, err := c.Summary(context.Background(), q)
		require.Error(t, err, name)
	}
	require.Zero(t, p.count())
	s, err := c.Summary(context.Background(), interchange.SummaryQuery{Start: hour, End: hour.Add(2 * time.Hour)})
	require.NoError(t, err)
	require.Equal(t, int64(5), s.Total, "the sum, where the platform gives none")
	require.Equal(t, "endHour=2026-03-27T15%3A00%3A00Z&startHour=2026-03-27T13%3A00%3A00Z", p.requests[0].URL.RawQuery)
}

func TestClient_errors(t *testing.T) {
	t.Parallel()
	html := "<html>anna@example.com</html>"
	for name, tt := range map[string]struct {
		response func() *http.Response
		kind     interchange.ErrorKind
		is       error
		code     string
		fields   []string
		text     string
	}{
		"401":                    {reply(401, `{"data":null,"error":{"code":"UNAUTHORIZED","message":"anna@example.com"}}`), interchange.ErrorConfiguration, interchange.ErrUnauthorized, "UNAUTHORIZED", nil, "check the API key"},
		"403":                    {reply(403, `{"data":null,"error":{"code":"ACCESS_DENIED"}}`), interchange.ErrorConfiguration, interchange.ErrForbidden, "ACCESS_DENIED", nil, "no access"},
		"404":                    {reply(404, `{"error":{"code":"NOT_FOUND"}}`), interchange.ErrorConfiguration, nil, "NOT_FOUND", nil, "check AdvertiserID"},
		"validation":             {reply(400, `{"data":null,"error":{"code":"VALIDATION_ERROR","message":"anna@example.com","field":"body","details":{"issues":[{"path":["event_sources",1,"name"],"message":"anna"},{"path":"event_sources.0.mapping"},{"path":["anna@example.com"]}]}}}`), interchange.ErrorRequest, nil, "VALIDATION_ERROR", []string{"body", "/event_sources/1/name", "event_sources.0.mapping"}, "/event_sources/1/name"},
		"a list of errors":       {reply(422, `{"errors":[{"code":"INVALID_REQUEST","field":"/take"}]}`), interchange.ErrorRequest, nil, "INVALID_REQUEST", []string{"/take"}, "422"},
		"an error as text":       {reply(400, `{"error":"BAD_REQUEST"}`), interchange.ErrorRequest, nil, "BAD_REQUEST", nil, "400"},
		"a code at the top":      {reply(400, `{"code":"BAD_REQUEST","message":"anna@example.com"}`), interchange.ErrorRequest, nil, "BAD_REQUEST", nil, "400"},
		"an address as the code": {reply(400, `{"error":{"code":"anna@example.com"}}`), interchange.ErrorRequest, nil, "", nil, "400"},
		"an error in a success":  {reply(200, `{"data":null,"error":{"code":"CONFLICT"}}`), interchange.ErrorRequest, nil, "CONFLICT", nil, "CONFLICT"},
		"a redirect":             {reply(302, "", "Location: https://anna.example"), interchange.ErrorConfiguration, nil, "", nil, "redirects are not followed"},
		"HTML":                   {reply(200, html), interchange.ErrorConfiguration, interchange.ErrNotEndpoint, "", nil, "it is HTML"},
		"HTML as its type":       {reply(200, "anna", "Content-Type: text/html"), interchange.ErrorConfiguration, interchange.ErrNotEndpoint, "", nil, "it is HTML"},
		"HTML of a proxy":        {reply(502, html), interchange.ErrorTemporary, interchange.ErrNotEndpoint, "", nil, "502"},
		"empty":                  {reply(200, ""), interchange.ErrorConfiguration, interchange.ErrNotEndpoint, "", nil, "not JSON"},
		"cut short":              {reply(200, `{"eventSources":[`), interchange.ErrorConfiguration, interchange.ErrNotEndpoint, "", nil, "cut short"},
		"a list":                 {reply(200, `[]`), interchange.ErrorConfiguration, interchange.ErrNotEndpoint, "", nil, "not a JSON object"},
		"no list":                {reply(200, `{"data":{"total":1}}`), interchange.ErrorConfiguration, interchange.ErrNotEndpoint, "", nil, "members are missing"},
		"a source without ID":    {reply(200, `{"eventSources":[{}]}`), interchange.ErrorConfiguration, interchange.ErrNotEndpoint, "", nil, "members are missing"},
		"a list of texts":        {reply(200, `{"eventSources":["anna"]}`), interchange.ErrorConfiguration, interchange.ErrNotEndpoint, "", nil, "members are missing"},
		"too large":              {reply(200, `{"eventSources":["`+strings.Repeat("a", 8<<20)+`"]}`), interchange.ErrorConfiguration, interchange.ErrNotEndpoint, "", nil, "larger than 8 MiB"},
		"500":                    {reply(500, `{"error":{"code":"INTERNAL_ERROR"}}`), interchange.ErrorTemporary, nil, "INTERNAL_ERROR", nil, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p := clientOf(t, tt.response)
			_, err := c.EventSources(context.Background())
			var e *interchange.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tt.kind, e.Kind())
			require.Equal(t, tt.code, e.Code)
			require.Equal(t, tt.fields, e.Fields)
			require.NotZero(t, e.Status())
			require.ErrorContains(t, err, tt.text)
			require.ErrorContains(t, err, "interchange: list event sources: ")
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			require.LessOrEqual(t, len(e.Body), 4<<10)
			var log bytes.Buffer
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "err", err)
			encoded, _ := json.Marshal(e)
			for _, printed := range []string{fmt.Sprintf("%v %+v %#v %q", e, e, e, e), log.String(), string(encoded)} {
				require.NotContains(t, printed, "anna")
				require.NotContains(t, printed, "secret")
			}
			require.Equal(t, 1, p.count())
		})
	}
}

// broken is a transport without a response.
type broken struct{ err error }

func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

func TestClient_noResponse(t *testing.T) {
	t.Parallel()
	cause := errors.New("anna@example.com")
	c, err := interchange.New(interchange.Config{APIKey: "scope3_a", HTTPClient: &http.Client{Transport: broken{cause}}})
	require.NoError(t, err)
	_, err = c.Account(context.Background())
	require.ErrorIs(t, err, cause)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "anna")
	var e *interchange.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, interchange.ErrorTemporary, e.Kind())
	require.Zero(t, e.Status())
	require.NotErrorIs(t, err, interchange.ErrNotEndpoint)

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = c.Account(ended)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "cancelled")
}

func TestClient_cutResponse(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t)
	srv.Next(clickidtest.Fault{Cut: clickidtest.CutMidResponse})
	_, err := newClient(t, srv).EventSources(context.Background())
	require.ErrorContains(t, err, "connection cut")
}

func TestClient_rateLimit(t *testing.T) {
	t.Parallel()
	account := `{"id":"1"}`
	limits := func(remaining, reset string) []string {
		return []string{"RateLimit-Limit: 100", "RateLimit-Remaining: " + remaining, "RateLimit-Reset: " + reset}
	}
	for name, tt := range map[string]struct {
		responses []func() *http.Response
		want      time.Duration // until the second call has its response
		requests  int
	}{
		"no headers":              {[]func() *http.Response{reply(200, account)}, 0, 2},
		"one is left":             {[]func() *http.Response{reply(200, account, limits("1", "30")...)}, 0, 2},
		"none is left":            {[]func() *http.Response{reply(200, account, limits("0", "30")...)}, 30 * time.Second, 2},
		"a time far from seconds": {[]func() *http.Response{reply(200, account, append(limits("0", "1774620030"), "Date: Fri, 27 Mar 2026 14:00:00 GMT")...)}, 30 * time.Second, 2},
		"a reset that is text":    {[]func() *http.Response{reply(200, account, limits("0", "soon")...)}, 0, 2},
		"429 with Retry-After":    {[]func() *http.Response{reply(200, account), reply(429, `{"error":{"code":"RATE_LIMITED"}}`, "Retry-After: 20"), reply(200, account)}, 20 * time.Second, 3},
		"429 without a time":      {[]func() *http.Response{reply(200, account), reply(429, ""), reply(200, account)}, time.Minute, 3},
		"429 with a reset":        {[]func() *http.Response{reply(200, account), reply(429, "", limits("5", "10")...), reply(200, account)}, 10 * time.Second, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := clientOf(t, tt.responses...)
				_, err := c.Account(context.Background())
				require.NoError(t, err)
				start := time.Now()
				_, err = c.Account(context.Background())
				require.NoError(t, err)
				require.Equal(t, tt.want, time.Since(start))
				require.Equal(t, tt.requests, p.count())
			})
		})
	}
}

func TestClient_rateLimitTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, p := clientOf(t, reply(200, `{"id":"1"}`, "RateLimit-Remaining: 0", "RateLimit-Reset: 30"))
		_, err := c.Account(context.Background())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err = c.Account(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "rate limit resets in 30s")
		var e *interchange.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, 30*time.Second, e.RetryAfter())
		require.Zero(t, time.Since(start), "at once")
		require.Equal(t, 1, p.count())
	})
	synctest.Test(t, func(t *testing.T) {
		c, p := clientOf(t, reply(429, "", "Retry-After: 3000"))
		start := time.Now()
		_, err := c.Account(context.Background())
		var e *interchange.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, 429, e.Status())
		require.Equal(t, 50*time.Minute, e.RetryAfter())
		require.Equal(t, interchange.ErrorTemporary, e.Kind())
		require.Zero(t, time.Since(start), "a wait of 50 minutes is the caller's decision")
		require.Equal(t, 1, p.count())
	})
	synctest.Test(t, func(t *testing.T) {
		c, p := clientOf(t, reply(429, "", "Retry-After: 1"))
		_, err := c.Account(context.Background())
		require.ErrorContains(t, err, "429")
		require.Equal(t, 4, p.count(), "it gives up")
	})
}

// TestClient_rateLimitOfReceiver sends 25 calls at once to a receiver with a
// limit of 10: none is refused.
func TestClient_rateLimitOfReceiver(t *testing.T) {
	t.Parallel()
	srv := clickidtest.NewServer(t, func(cfg *clickidtest.Config) {
		cfg.RateLimit = clickidtest.RateLimit{Requests: 10, Per: time.Second}
	})
	c := newClient(t, srv)
	_, err := c.Account(context.Background())
	require.NoError(t, err)
	var calls sync.WaitGroup
	for range 24 {
		calls.Go(func() {
			_, err := c.Account(context.Background())
			if err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	for _, request := range srv.Requests() {
		require.NotEqual(t, http.StatusTooManyRequests, request.Status)
	}
}
