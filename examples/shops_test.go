// Package examples_test builds the example shops and tests them over HTTP.
package examples_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/stretchr/testify/require"
)

const (
	clickID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	// cookieKey is what "clickid keygen" prints.
	cookieKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	// patience limits the waits of a test that fails.
	patience = 30 * time.Second
)

// binaries is the folder of the shops that TestMain builds.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "shops")
	if err != nil {
		log.Fatal(err)
	}
	binaries = dir
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./...")
	if out, err := build.CombinedOutput(); err != nil {
		log.Fatalf("building the shops: %v\n%s", err, out)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

var shops = []string{"nethttp", "chi", "gin", "echo", "echo5", "fiber"}

func TestShops(t *testing.T) {
	for _, name := range shops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			platform := clickidtest.NewServer(t)
			shop := start(t, name, "CLICKID_API_KEY="+clickidtest.APIKey, "CLICKID_BASE_URL="+platform.URL)

			cookie := shop.land(t)
			checkout := shop.do(t, http.MethodGet, "/checkout", cookie)
			require.Equal(t, http.StatusOK, checkout.StatusCode)
			require.Empty(t, checkout.Header["Set-Cookie"])
			require.Contains(t, text(t, checkout), `action="/orders"`)

			order := shop.do(t, http.MethodPost, "/orders", cookie)
			require.Equal(t, "Thank you! Conversion: accepted\n", text(t, order))
			events := platform.Accepted()
			require.Len(t, events, 1)
			require.Equal(t, "purchase", events[0].Type)
			require.Equal(t, clickID, events[0].ClickID)
			require.Equal(t, "149.99 USD", events[0].Value+" "+events[0].Currency)

			organic := shop.do(t, http.MethodPost, "/orders", "")
			require.Equal(t, "Thank you! Conversion: skipped: organic\n", text(t, organic))
			require.Len(t, platform.Accepted(), 1)

			platform.Stop()
			offline := shop.do(t, http.MethodPost, "/orders", cookie)
			require.Equal(t, http.StatusOK, offline.StatusCode, "an order is valid without the platform")
			require.Equal(t, "Thank you! Conversion: failed\n", text(t, offline))

			shop.stop(t)
		})
	}
}

// TestShops_shutdown stops each shop while an order waits for the platform.
func TestShops_shutdown(t *testing.T) {
	for _, name := range shops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, release := make(chan struct{}), make(chan struct{})
			receiver := clickidtest.New(clickidtest.Config{})
			platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				<-release
				receiver.ServeHTTP(w, r)
			}))
			t.Cleanup(platform.Close)
			shop := start(t, name, "CLICKID_API_KEY="+clickidtest.APIKey, "CLICKID_BASE_URL="+platform.URL)
			cookie := shop.land(t)

			confirmation := make(chan string, 1)
			go func() {
				r, err := http.NewRequest(http.MethodPost, shop.url+"/orders", nil)
				if err != nil {
					confirmation <- err.Error()
					return
				}
				r.Header.Set("Cookie", cookie)
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					confirmation <- err.Error()
					return
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body) // the body is checked below
				confirmation <- string(body)
			}()
			<-arrived
			require.NoError(t, shop.cmd.Process.Signal(syscall.SIGTERM))
			shop.refuses(t)
			close(release)
			require.Equal(t, "Thank you! Conversion: accepted\n", <-confirmation)
			shop.end(t)
		})
	}
}

func TestShops_missingConfiguration(t *testing.T) {
	for _, tt := range []struct{ name, env, want string }{
		{"nethttp", "CLICKID_COOKIE_KEY=" + cookieKey, "APIKey is required"},
		{"nethttp", "", "the cookie key is empty"},
		{"nethttp", "CLICKID_COOKIE_KEY=c2hvcnQ=", "needs at least 32"},
		{"webhook", "", "PAYMENT_SECRET is required"},
		{"networks", "", "ADMIN_TOKEN is required"},
	} {
		t.Run(tt.name+" "+tt.want, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(binaries, tt.name))
			cmd.Env = append(cleanEnv(), tt.env)
			cmd.Dir = t.TempDir()
			out, err := cmd.CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), tt.want)
		})
	}
}

// TestShops_sharedFunctions compares the functions that the shops repeat so
// that each of them can be copied.
func TestShops_sharedFunctions(t *testing.T) {
	t.Parallel()
	part := func(shop, function string) string {
		source, err := os.ReadFile(filepath.Join(shop, "main.go"))
		require.NoError(t, err)
		_, rest, found := strings.Cut(string(source), "\nfunc "+function+"(")
		require.True(t, found, "%s has no %s", shop, function)
		body, _, _ := strings.Cut(rest, "\n}\n")
		return body
	}
	for _, shop := range []string{"chi", "gin", "echo", "echo5", "webhook", "postgresql", "mariadb"} {
		require.Equal(t, part("nethttp", "configure"), part(shop, "configure"), shop)
		require.Equal(t, part("nethttp", "serve"), part(shop, "serve"), shop)
	}
	require.Equal(t, part("nethttp", "configure"), part("fiber", "configure"))
	require.Equal(t, part("nethttp", "serve"), part("networks", "serve"))
	require.Equal(t, part("postgresql", "stopDelivery"), part("mariadb", "stopDelivery"))
}

// TestWebhook pays for orders while the platform is unavailable, with notices
// that are forged, out of order, repeated, and repeated after a restart.
func TestWebhook(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	env := []string{
		"CLICKID_API_KEY=" + clickidtest.APIKey, "CLICKID_BASE_URL=" + platform.URL,
		"PAYMENT_SECRET=secret", "PAYMENT_PAGE=https://pay.test/",
		"SHOP_DB=" + filepath.Join(t.TempDir(), "shop.db"),
	}
	shop := start(t, "webhook", env...)
	order := shop.order(t, shop.land(t))
	organic := shop.order(t, "")
	paidAt := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)

	require.Equal(t, http.StatusUnauthorized, shop.notify(t, "forged", "payment.paid", order, paidAt))

	platform.Stop()
	require.Equal(t, http.StatusOK, shop.notify(t, "secret", "payment.paid", order, paidAt))
	require.Equal(t, http.StatusOK, shop.notify(t, "secret", "payment.pending", order, paidAt.Add(-time.Minute)))
	require.Equal(t, http.StatusOK, shop.notify(t, "secret", "payment.paid", order, paidAt))
	require.Equal(t, http.StatusOK, shop.notify(t, "secret", "payment.paid", organic, paidAt))
	require.Equal(t, http.StatusOK, shop.notify(t, "secret", "payment.paid", "unknown", paidAt))
	// The order commits although its conversion is refused, here for its time.
	refused := shop.order(t, shop.land(t))
	require.Equal(t, http.StatusOK, shop.notify(t, "secret", "payment.paid", refused, time.Now().Add(time.Hour)))
	shop.stop(t)
	require.Contains(t, shop.output.String(), "the conversion of order "+refused+" is refused: ")

	require.NoError(t, platform.Restart())
	shop = start(t, "webhook", env...)
	require.Equal(t, http.StatusOK, shop.notify(t, "secret", "payment.paid", order, paidAt))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := platform.Wait(ctx, 1)
	require.NoError(t, err)

	// An order that is paid now is delivered after the queued ones.
	last := shop.order(t, shop.land(t))
	require.Equal(t, http.StatusOK, shop.notify(t, "secret", "payment.paid", last, paidAt))
	events, err := platform.Wait(ctx, 2)
	require.NoError(t, err)
	require.Len(t, events, 2)
	for i, want := range []string{order, last} {
		require.Equal(t, want, events[i].ID)
		require.Equal(t, clickID, events[i].ClickID)
		require.Equal(t, "149.99", events[i].Value)
		require.True(t, events[i].Time.Equal(paidAt), "the time of the payment")
		require.Equal(t, 1, events[i].Received)
	}
	shop.stop(t)
	require.Equal(t, 2, platform.Count())
}

// shop is a running shop.
type shop struct {
	url    string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended and output and err are final
	output *bytes.Buffer
	err    error
}

// start starts a shop on a free port and waits until it responds. Arguments may
// follow its name.
func start(t *testing.T, name string, env ...string) *shop {
	t.Helper()
	port := strconv.Itoa(testserver.FreePort(t))
	s := &shop{url: "http://127.0.0.1:" + port, output: new(bytes.Buffer), ended: make(chan struct{})}
	name, args, _ := strings.Cut(name, " ")
	s.cmd = exec.Command(filepath.Join(binaries, name), strings.Fields(args)...)
	s.cmd.Env = append(append(cleanEnv(), "PORT="+port, "CLICKID_COOKIE_KEY="+cookieKey), env...)
	s.cmd.Dir = t.TempDir()
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	require.NoError(t, s.cmd.Start())
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.ended
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, s.output)
		}
	})

	deadline := time.Now().Add(patience)
	for {
		resp, err := http.Get(s.url)
		if err == nil {
			resp.Body.Close()
			return s
		}
		select {
		case <-s.ended:
			t.Fatalf("%s ended at its start: %v", name, s.err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not respond: %v", name, err)
		}
	}
}

// cleanEnv returns the environment without the variables that configure a shop.
func cleanEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CLICKID_") && !strings.HasPrefix(e, "PORT=") {
			env = append(env, e)
		}
	}
	return env
}

// stop stops the shop with SIGTERM and waits until it has ended.
func (s *shop) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.end(t)
}

// refuses waits until the shop accepts no further connections.
func (s *shop) refuses(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, patience, 10*time.Millisecond, "the shop accepts no further connections")
}

// end waits until the shop has ended without an error.
func (s *shop) end(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
		require.NoError(t, s.err)
	case <-time.After(patience):
		t.Fatal("the shop does not end")
	}
}

// land requests a landing page and returns the cookie.
func (s *shop) land(t *testing.T) string {
	t.Helper()
	landing := s.do(t, http.MethodGet, "/?clkid="+clickID, "")
	require.Equal(t, http.StatusOK, landing.StatusCode)
	require.Len(t, landing.Header["Set-Cookie"], 1)
	cookie := landing.Cookies()[0]
	require.Equal(t, "__Host-clkid", cookie.Name)
	return cookie.Name + "=" + cookie.Value
}

// order places an order and returns its number from the URL of the payment page.
func (s *shop) order(t *testing.T, cookie string) string {
	t.Helper()
	resp := s.do(t, http.MethodPost, "/orders", cookie)
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	page, err := url.Parse(resp.Header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "pay.test", page.Host)
	return page.Query().Get("order")
}

// notify sends a notice of the payment provider and returns the status.
func (s *shop) notify(t *testing.T, secret, kind, order string, paidAt time.Time) int {
	t.Helper()
	body := fmt.Sprintf(`{"type":%q,"order":%q,"paid_at":%q}`, kind, order, paidAt.Format(time.RFC3339))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	r, err := http.NewRequest(http.MethodPost, s.url+"/webhooks/payment", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Payment-Signature", hex.EncodeToString(mac.Sum(nil)))
	return send(t, r).StatusCode
}

func (s *shop) do(t *testing.T, method, path, cookie string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, s.url+path, nil)
	require.NoError(t, err)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	return send(t, r)
}

func send(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	client := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}
