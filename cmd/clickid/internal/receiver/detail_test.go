package receiver_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/cmd/clickid/internal/receiver"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

// detail is the response about one event.
type detail struct {
	Event        receiver.Entry
	Raw          string
	Explanations []struct{ Field, Message, Why string }
	Request      struct {
		Method, Target, Body string
		Header               http.Header
		Bytes, Events        int
		Shortened, Replayed  bool
	}
	Response struct {
		Status int
		Header http.Header
		Body   string
		Cut    bool
	}
	Curl     string
	Arrivals []struct {
		Number  int
		Verdict string
		Status  int
	}
}

func (d detail) messages() (messages []string) {
	for _, e := range d.Explanations {
		messages = append(messages, strings.TrimSpace(e.Field+" "+e.Message))
	}
	return messages
}

func TestReceiver_detail(t *testing.T) {
	t.Parallel()
	s := start(t)
	call[any](s, 200, http.MethodPost, "/api/v1/faults", `{"fault":"503"}`)
	s.send(ecapiPath, purchase("order-1"))
	s.send(ecapiPath, purchase("order-1"))
	s.send(ecapiPath, purchase("order-1"))
	d := get[detail](s, 200, "/api/v1/events/2")
	require.Equal(t, "accepted", d.Event.Verdict)
	require.Equal(t, []int{2, 3, 1}, []int{d.Event.Attempt, d.Event.Attempts, d.Event.Duplicates})
	require.Contains(t, d.Raw, "\n  \"event_type\": \"purchase\"")
	require.Equal(t, purchase("order-1"), d.Request.Body)
	require.Equal(t, []string{"POST", ecapiPath}, []string{d.Request.Method, d.Request.Target})
	require.Equal(t, "{\"status\":\"ok\"}\n", d.Response.Body)
	require.Equal(t, "application/json", d.Response.Header.Get("Content-Type"))
	require.Empty(t, d.Explanations)
	require.Len(t, d.Arrivals, 3)
	require.Equal(t, []string{"not processed", "accepted", "duplicate"}, []string{d.Arrivals[0].Verdict, d.Arrivals[1].Verdict, d.Arrivals[2].Verdict})
}

func TestReceiver_explanations(t *testing.T) {
	t.Parallel()
	anonymous := func(r *http.Request) { r.Header.Del("Authorization") }
	for name, tt := range map[string]struct {
		path, body string
		edit       func(*http.Request)
		want       []string
	}{
		"accepted":           {ecapiPath, purchase("1"), nil, nil},
		"every broken rule":  {ecapiPath, `{"data_set_id":"ds_1","event_type":"bought","timestamp":1732356930000}`, nil, []string{"/event_type must be one of purchase, add_to_cart, begin_checkout, add_payment_info, lead, sign_up, complete_registration, subscribe, page_view, view_content", "/timestamp must be in seconds, not in milliseconds"}},
		"warnings":           {capiPath, logEvents("1", `{"event_id":"1","event_type":"lead","event_time":"2026-01-31T12:00:00Z","action_source":"website","custom_data":{"value":1}}`), nil, []string{"has a value without a currency", "has the action source website without an event_source_url"}},
		"no key":             {ecapiPath, purchase("1"), anonymous, []string{"UNAUTHORIZED, status 401"}},
		"wrong path":         {"/v1/events", purchase("1"), nil, []string{"NOT_FOUND, status 404"}},
		"not JSON":           {ecapiPath, `{`, nil, []string{"BAD_REQUEST, status 400"}},
		"not an object":      {ecapiPath, `[]`, nil, []string{"the body must be an object"}},
		"beside a wrong one": {capiPath, logEvents("1", lead("1"), `{}`), nil, []string{"another event of the request was refused"}},
		"no events":          {capiPath, `{"event_source_id":"my-shop","idempotency_key":"0123456789abcdef","events":[]}`, nil, []string{"/events must be 1 to 10000 events"}},
		"management":         {"/api/v2/buyer/advertisers/1/event-sources/sync", `{"account":{"account_id":"1"},"event_sources":[{}]}`, nil, []string{"/event_sources/0/event_source_id is required"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.request(http.MethodPost, tt.path, tt.body, func(req *http.Request) {
				req.Header.Set("Authorization", "Bearer "+key)
				req.Header.Set("Content-Type", "application/json")
				if tt.edit != nil {
					tt.edit(req)
				}
			})
			d := get[detail](s, 200, "/api/v1/events/1")
			require.Equal(t, tt.want, d.messages())
			for _, e := range d.Explanations {
				require.NotEmpty(t, e.Why, e.Message)
			}
		})
	}
}

// TestReceiver_everyRule looks up every problem in the source of clickidtest, so
// that a new rule needs an explanation.
func TestReceiver_everyRule(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../../clickidtest/*.go")
	require.NoError(t, err)
	rule := regexp.MustCompile(`^(/events/0 )?(must |is |contains |has |the (body|query) )`)
	verb := regexp.MustCompile(`%[a-z]`)
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			message, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			message = verb.ReplaceAllString(message, "1")
			if message = strings.TrimSpace(message); rule.MatchString(message+" ") && strings.Contains(message, " ") && message != "must be" {
				found++
				require.NotEmpty(t, receiver.WhyRule(clickidtest.Problem{Message: message}), message)
			}
			return true
		})
	}
	require.Greater(t, found, 40)
}

// TestReceiver_curl runs the command of an event.
func TestReceiver_curl(t *testing.T) {
	t.Parallel()
	testserver.Program(t, "curl")
	for name, sent := range map[string]struct{ path, body string }{
		"ECAPI":              {ecapiPath, purchase("order-1")},
		"quotes":             {ecapiPath, strings.Replace(purchase("it's $(id) `id` \\"), "149.99", "1", 1)},
		"a file":             {ecapiPath, "@/etc/passwd"},
		"control characters": {ecapiPath, "{\"a\":\"\x1b[201~\x00\xff\"}"},
		"a query":            {ecapiPath + "?a={1,2}&b=[1-3]&c='", purchase("order-1")},
		"empty":              {ecapiPath, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.send(sent.path, sent.body)
			first := get[detail](s, 200, "/api/v1/events/1")
			require.NotContains(t, first.Curl, key)
			command := exec.Command("sh", "-c", first.Curl)
			command.Env = append(os.Environ(), "CLICKID_API_KEY="+key, "no_proxy=*")
			output, err := command.CombinedOutput()
			require.NoError(t, err, string(output))
			second := get[detail](s, 200, "/api/v1/events/2")
			require.Equal(t, first.Request.Body, second.Request.Body)
			require.Equal(t, first.Request.Target, second.Request.Target)
			require.Equal(t, first.Curl, strings.Replace(second.Curl, "  -H 'Accept: */*' \\\n", "", 1))
			require.NotEqual(t, 401, second.Response.Status)
		})
	}
}

func TestReceiver_largeBody(t *testing.T) {
	t.Parallel()
	s := start(t)
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	s.send(ecapiPath, strings.Replace(purchase("1"), `"value"`, `"properties":{"a":`+deep+`,"b":"`+strings.Repeat("é", 200_000)+`"},"value"`, 1))
	d := get[detail](s, 200, "/api/v1/events/1")
	require.True(t, d.Request.Shortened)
	require.Less(t, len(d.Request.Body), 300_000)
	require.Less(t, len(d.Raw), 300_000)
	require.NotContains(t, d.Request.Body, "\ufffd")
}
