package clickid_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/internal/platformtest"
	"github.com/stretchr/testify/require"
)

// Everything here is personal or secret, and stands out in any text.
const (
	secretID       = "SECRETCLICKID"
	secretQuery    = "SECRETQUERY"
	secretSession  = "SECRETSESSION"
	secretCustomer = "SECRETCUSTOMER"
	secretEmail    = "SECRETPERSON@example.com"
	secretKey      = "scope3_SECRETAPIKEY"
	secretBody     = "SECRETECHO"
)

// TestSecrets sends secrets along every path and searches all
// that is logged, reported and returned.
func TestSecrets(t *testing.T) {
	t.Parallel()
	said := &syncBuffer{}
	say := func(values ...any) {
		logger := slog.New(slog.NewTextHandler(said, nil))
		for _, v := range values {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
				fmt.Fprintf(said, verb+"\n", v)
			}
			fmt.Fprintln(said, v)
			logger.Info("said", "value", v)
		}
	}
	signing := []byte("SECRETSIGNINGKEY-0123456789abcdef")
	store, err := clickid.NewCookieStore(signing)
	require.NoError(t, err)
	say(clickid.Config{Store: store})
	callStore(store, say)
	callStore(clickid.NewMemoryStore(), say)

	for _, cfg := range []clickid.Config{
		{},
		{Store: store},
		{Store: store, Linker: &failingLinker{Linker: clickid.NewMemoryStore(), err: errors.New("connection refused")}},
		{Store: clickid.NewMemoryStore()},
		{Store: clickid.NewMemoryStore(), Touch: clickid.FirstTouch, StripParam: true},
		{Store: panickingStore{secretID + secretCustomer}},
		{Store: hangingStore{store}, StoreTimeout: 1},
	} {
		cfg.Consent = byHeader
		cfg.Hook = func(_ context.Context, o clickid.Observation) { say(o) }
		s := newSite(t, cfg)
		walkEverywhere(s, say)
		_, _ = said.Write([]byte(s.log.String()))
	}
	sendEverything(t, say)

	signs := []string{
		secretID, secretQuery, secretSession, secretCustomer, "SECRETPERSON", "SECRETAPIKEY", secretBody, "SECRETSIGNINGKEY",
		fmt.Sprintf("%x", secretID), fmt.Sprintf("%X", secretID), fmt.Sprint([]byte(secretID)), fmt.Sprintf("%x", signing), fmt.Sprint(signing),
	}
	text := said.String()
	require.Contains(t, text, "clickid: store error", "something was said at all")
	for _, secret := range signs {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s is said: …%s…", secret, text[max(0, i-200):min(len(text), i+200)])
		}
	}
	for _, token := range strings.Fields(secretTokens.String()) {
		if i := strings.Index(text, token); i >= 0 {
			t.Errorf("a token is said: …%s…", text[max(0, i-200):min(len(text), i+200)])
		}
	}
}

var secretTokens syncBuffer

// walkEverywhere makes visitors with secrets go wherever they can.
func walkEverywhere(s *site, say func(...any)) {
	ctx := context.Background()
	session, customer := clickid.SessionKey(secretSession), clickid.CustomerKey(secretCustomer)
	say(s.Tracker, session, customer)
	for _, query := range []string{
		"clkid=" + secretID, "clkid=" + secretID + "&q=" + secretQuery, "clkid=" + secretID + "%20", "clkid=%zz" + secretID,
		"sc3clid=" + secretID, "utm_source=scope3&q=" + secretQuery,
	} {
		for _, headers := range [][]string{
			{yes}, {no}, {}, {gpc}, {yes, "Sec-Fetch-Dest: iframe"}, {yes, "Sec-Purpose: prefetch"},
			{yes, "Referer: http://example.com/?clkid=" + secretID, asPage}, {yes, "Cookie: __Host-clkid=" + secretID},
		} {
			v := s.visitor()
			for _, target := range []string{"/" + secretQuery + "?" + query, "/" + secretQuery} {
				resp := v.get(target, headers...)
				for _, c := range v.cookies {
					if len(c.Value) > 20 {
						fmt.Fprintln(&secretTokens, c.Value)
					}
				}
				if resp.ctx == nil {
					continue // redirected
				}
				click, err := clickid.Lookup(resp.ctx)
				token, _ := clickid.Token(resp.ctx)
				_, resolveErr := s.Resolve(ctx, token+secretID)
				say(resp.ctx, click, err, resolveErr, s.Link(resp.ctx, session), s.Link(resp.ctx, customer))
				linked, err := s.Linked(ctx, session)
				say(linked, err)
				for _, id := range []string{"", secretID, secretID + " "} {
					w := httptest.NewRecorder()
					r, err := s.Remember(w, newRequest(http.MethodPost, "/"+secretQuery+"?"+query, headers...), id)
					say(r.Context(), err, s.Forget(w, r))
				}
			}
		}
	}
	say(s.ForgetKey(ctx, session), s.ForgetKey(ctx, customer))
	say(clickid.Click{ID: secretID + " ", Param: secretID + " "}.Validate())
}

// callStore calls a store with what it must refuse.
func callStore(store clickid.Store, say func(...any)) {
	ctx := context.Background()
	_, saveErr := store.Save(ctx, clickid.Click{ID: secretID + " ", Param: "clkid"})
	_, loadErr := store.Load(ctx, secretID)
	_, malformedErr := store.Load(ctx, secretID+" ")
	say(store, saveErr, loadErr, malformedErr, store.Delete(ctx, secretID))
}

// sendEverything sends events with secrets to platforms that echo them.
func sendEverything(t *testing.T, say func(...any)) {
	t.Helper()
	echo := `{"errors":[{"code":"` + secretBody + `1234567","message":"` + secretEmail + `","field":"` + secretEmail + `"}],"error":"` + secretBody + `"}`
	log := &syncBuffer{}
	for _, respond := range []func() (*http.Response, error){
		platformtest.OK(), platformtest.Reply(400, echo), platformtest.Reply(401, echo), platformtest.Reply(200, echo), platformtest.Reply(302, echo, "Location: https://"+secretBody+".example"),
		platformtest.Reply(200, `{"partial_failures":[{"event_id":"1","message":"`+secretEmail+`"}],"warnings":["`+secretEmail+`"]}`),
		platformtest.Broken(errors.New("connection refused")),
	} {
		for _, dialect := range []capi.Dialect{ecapi, logEvent} {
			cfg := capi.Config{APIKey: secretKey, Dialect: dialect}
			client := newClient(t, platformtest.Responding(respond), dialect, func(c *capi.Config) {
				c.APIKey, c.Retry.Attempts = secretKey, 1
				c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				c.Hook = func(_ context.Context, a capi.Attempt) { say(a) }
			})
			say(cfg, client)
			events := []clickid.Event{purchase("1"), purchase("2"), purchase("3"), purchase("4")}
			events[0].Click.ID = secretID
			events[1].User.ExternalID = secretEmail
			events[2].Properties = map[string]any{"note": secretEmail}
			events[3].PageURL = "https://shop.example/?email=" + secretEmail
			for _, e := range events {
				say(e, e.Click)
				result, err := clickid.Convert(context.Background(), client, e)
				say(result, err)
			}
		}
	}
	say(log.String())
}
