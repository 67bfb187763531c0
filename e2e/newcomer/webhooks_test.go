package newcomer_test

import (
	"context"
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	"github.com/stretchr/testify/require"
)

// paymentArrived is the handler in docs/webhooks.md.
func paymentArrived(w http.ResponseWriter, r *http.Request) {
	payment, err := provider.Verify(r) // the signature of the raw body, before anything else
	if err != nil {
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return
	}
	order, err := orders.MarkPaid(r.Context(), payment.Metadata["order"])
	if err != nil {
		log.Print(err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	result, err := clickid.Convert(r.Context(), sender, clickid.Event{
		Type:       clickid.Purchase,
		ID:         order.Number,
		Time:       payment.PaidAt,
		Value:      clickid.Minor(order.TotalCents, "USD"),
		ClickToken: payment.Metadata["click"],
	})
	switch result.Verdict {
	case clickid.VerdictFailed:
		log.Print(err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	case clickid.VerdictRejected, clickid.VerdictDeadLettered:
		log.Print("the conversion of order ", order.Number, " is refused: ", result.Reason, err)
	}
}

// The parts of the shop that the handler uses.
var (
	provider payments
	orders   database
	sender   clickid.Sender
)

type payment struct {
	PaidAt   time.Time
	Metadata map[string]string
}

type payments struct {
	payment payment
	err     error
}

func (p payments) Verify(*http.Request) (payment, error) { return p.payment, p.err }

type order struct {
	Number     string
	TotalCents int64
}

type database struct {
	cents int64
	err   error
}

func (d database) MarkPaid(_ context.Context, number string) (order, error) {
	return order{number, d.cents}, d.err
}

// resolver is a tracker with a click for the token "token".
type resolver struct{ err error }

func (r resolver) Resolve(_ context.Context, token string) (clickid.Click, error) {
	if token == "token" {
		return clickid.Click{ID: clickID, Param: "clkid"}, r.err
	}
	return clickid.Click{}, clickid.ErrNotFound
}

// denying is a sender of orders whose visitors have denied consent.
type denying struct{ clickid.Sender }

func (d denying) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	for i := range events {
		events[i].Consent = clickid.ConsentDenied
	}
	return d.Sender.Send(ctx, events...)
}

// TestWebhooks_status calls the handler of the guide in each case of its table.
func TestWebhooks_status(t *testing.T) {
	text, err := os.ReadFile("../../docs/webhooks.md")
	require.NoError(t, err)
	code, err := os.ReadFile("webhooks_test.go")
	require.NoError(t, err)
	guide := string(text)
	_, handler, found := strings.Cut(guide, "```go\nfunc paymentArrived")
	require.True(t, found)
	handler, _, _ = strings.Cut(handler, "```")
	require.Contains(t, string(code), handler)

	platform := clickidtest.NewServer(t)
	client := func(resolver clickid.Resolver) *capi.Client {
		client, err := capi.New(capi.Config{
			APIKey: clickidtest.APIKey, BaseURL: platform.URL, Resolver: resolver,
			Dialect: capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
		})
		require.NoError(t, err)
		return client
	}
	direct := client(resolver{})
	ob, err := outbox.NewMemory(outbox.MemoryConfig{Delivery: outbox.Config{Destination: direct}, AcceptLoss: true})
	require.NoError(t, err)
	closed, err := sqliteoutbox.Open(filepath.Join(t.TempDir(), "outbox.db"), sqliteoutbox.Config{Delivery: outbox.Config{Destination: direct}})
	require.NoError(t, err)
	require.NoError(t, closed.Migrate(t.Context()))
	require.NoError(t, closed.Close())
	unavailable := errors.New("unavailable")

	for _, tt := range []struct {
		name     string
		token    string
		orders   database
		provider error
		sender   clickid.Sender
		fault    clickidtest.Fault
		verdict  string
		want     int
	}{
		{name: "an outbox stores the event, or knows it", sender: ob, verdict: "`queued`", want: 200},
		{name: "an outbox stores the event, or knows it", sender: ob, verdict: "`queued`", want: 200},
		{name: "the platform accepts the event", sender: direct, verdict: "`accepted`", want: 200},
		{name: "the visitor came without a click", token: "none", sender: direct, verdict: "`skipped: organic`", want: 200},
		{name: "the order has a denied consent", sender: denying{direct}, verdict: "`skipped: consent`", want: 200},
		{name: "an outbox stores a refused event", orders: database{cents: -1}, sender: ob, verdict: "`dead letter`", want: 200},
		{name: "a client's event is refused", orders: database{cents: -1}, sender: direct, verdict: "`rejected`", want: 200},
		{name: "the platform is unavailable for a client", sender: direct, fault: clickidtest.Fault{Status: 503}, verdict: "`failed`", want: 503},
		{name: "the click store is unavailable for a client", sender: client(resolver{unavailable}), verdict: "`failed`", want: 503},
		{name: "the outbox cannot store the event", sender: closed, verdict: "`failed`", want: 503},
		{name: "your database fails", orders: database{err: unavailable}, verdict: "none", want: 503},
		{name: "the signature is wrong", provider: unavailable, verdict: "none", want: 401},
	} {
		require.Contains(t, guide, "| "+tt.name+" | "+tt.verdict+" | "+strconv.Itoa(tt.want)+" |", "the table has another row")
		if tt.token == "" {
			tt.token = "token"
		}
		recorded := &recording{Sender: tt.sender}
		provider = payments{payment{time.Now(), map[string]string{"order": "1001", "click": tt.token}}, tt.provider}
		orders, sender = tt.orders, recorded
		lift := func() {}
		if tt.fault.Status != 0 {
			lift = platform.Always(tt.fault)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		w := httptest.NewRecorder()
		paymentArrived(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/webhooks/payment", nil))
		cancel()
		lift()
		require.Equal(t, tt.want, w.Code, tt.name)
		if tt.verdict != "none" && tt.verdict != "`failed`" {
			require.Equal(t, tt.verdict, "`"+recorded.verdict.String()+"`", tt.name)
		}
	}
}

// recording is a sender that keeps its last verdict.
type recording struct {
	clickid.Sender
	verdict clickid.Verdict
}

func (r *recording) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	report, err := r.Sender.Send(ctx, events...)
	if len(report.Results) > 0 {
		r.verdict = report.Results[0].Verdict
	}
	return report, err
}

// ResolvesTokens tells Convert what the sender does.
func (r *recording) ResolvesTokens() bool {
	later, ok := r.Sender.(interface{ ResolvesTokens() bool })
	return ok && later.ResolvesTokens()
}

// TestWebhooks_tokens compares the lengths of tokens in the guide with those of the
// stores. The one in memory has the tokens of Redis and SQL.
func TestWebhooks_tokens(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/webhooks.md")
	require.NoError(t, err)
	cookies, err := clickid.NewCookieStore([]byte("a key of 32 bytes for this test."))
	require.NoError(t, err)
	lengths := make(map[clickid.Store]int)
	for _, store := range []clickid.Store{cookies, clickid.NewMemoryStore()} {
		tracker, err := clickid.New(clickid.Config{Store: store})
		require.NoError(t, err)
		page := func(_ http.ResponseWriter, r *http.Request) {
			token, _ := clickid.Token(r.Context())
			lengths[store] = len(token)
		}
		landing := httptest.NewRequest(http.MethodGet, "/?clkid="+clickID, nil)
		tracker.Handler(http.HandlerFunc(page)).ServeHTTP(httptest.NewRecorder(), landing)
	}
	require.Len(t, lengths, 2)
	for _, n := range lengths {
		require.Regexp(t, `\b`+strconv.Itoa(n)+`\b`, string(guide))
	}
}

// TestWebhooks_minorUnits compares the units in the guide with the functions.
func TestWebhooks_minorUnits(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/webhooks.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| ([A-Z]{3}[^|]*) \| (\d+) \| (\d+) \| (\d+) \|$`).FindAllStringSubmatch(string(guide), -1)
	require.Len(t, rows, 8)
	for _, row := range rows {
		for _, currency := range regexp.MustCompile(`\b[A-Z]{3}\b`).FindAllString(row[1], -1) {
			for i, amount := range []func(int64, string) clickid.Amount{clickid.Minor, clickid.StripeMinor, clickid.AdyenMinor} {
				units, err := strconv.ParseInt(row[i+2], 10, 64)
				require.NoError(t, err)
				number, _, _ := strings.Cut(amount(units, currency).Number(), ".")
				require.Equal(t, "1500", number, "%s in column %d", currency, i+2)
			}
		}
	}
}
