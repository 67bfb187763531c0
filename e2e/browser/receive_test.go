package browser

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// receiverPage is the page of "clickid receive" in a browser.
type receiverPage struct {
	*browser
	url string

	mu       sync.Mutex
	problems []string // that the browser reports
}

// openReceiver starts the receiver and opens its page.
func openReceiver(t *testing.T, args ...string) *receiverPage {
	t.Helper()
	urls := startCommand(t, 1, append([]string{"receive", "-addr", "127.0.0.1:0"}, args...)...)
	p := &receiverPage{browser: startBrowser(t, "127.0.0.1", ""), url: strings.TrimSuffix(urls["The page"], "/")}
	p.watch()
	p.resize(1280, 800)
	p.visit(p.url)
	p.until(`document.querySelector("#connection").textContent === "live"`)
	return p
}

// watch collects errors of scripts, the console and the Content-Security-Policy.
func (p *receiverPage) watch() {
	p.t.Helper()
	command(p.browser, log.Enable, cdp.Empty{})
	require.NoError(p.t, chromedp.Listen(p.ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := event.(type) {
		case *log.EventEntryAdded:
			p.problems = append(p.problems, e.Entry.Text+" "+e.Entry.URL)
		case *runtime.EventConsoleAPICalled:
			p.problems = append(p.problems, "console: "+string(e.Type))
		case *runtime.EventExceptionThrown:
			p.problems = append(p.problems, e.ExceptionDetails.Text)
		}
	}))
}

// hasNoProblems asserts that the browser has reported nothing.
func (p *receiverPage) hasNoProblems() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(p.t, p.problems)
}

// until waits until a JavaScript expression is true.
func (b *browser) until(condition string) {
	b.t.Helper()
	held := eval[bool](b, `(async () => {
		for (const end = Date.now() + `+strconv.FormatInt(patience.Milliseconds(), 10)+`; Date.now() < end;) {
			if (`+condition+`) return true;
			await new Promise(resolve => setTimeout(resolve, 20));
		}
		return false;
	})()`)
	require.True(b.t, held, condition)
}

// read returns the text of an element of a page that changes itself.
func (b *browser) read(selector string) string {
	b.t.Helper()
	return eval[string](b, `document.querySelector("`+selector+`").innerText`)
}

// rows waits until the list has n rows and returns their texts.
func (p *receiverPage) rows(n int) []string {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.querySelectorAll("#events li").length === %d`, n))
	return eval[[]string](p.browser, `Array.from(document.querySelectorAll("#events li"), row => row.innerText.replace(/\s+/g, " "))`)
}

// send sends a request to the platform's API.
func (p *receiverPage) send(path, body string) {
	p.t.Helper()
	p.request(http.MethodPost, path, body, map[string]string{"Authorization": "Bearer scope3_test", "Content-Type": "application/json"})
}

func (p *receiverPage) request(method, path, body string, header map[string]string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.ctx, method, p.url+path, strings.NewReader(body))
	require.NoError(p.t, err)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil { // not cut
		require.NoError(p.t, resp.Body.Close())
	}
}

func ecapi(id, more string) string {
	return fmt.Sprintf(`{"data_set_id":"ds_abc123xyz","event_type":"purchase","timestamp":%d,"id":%q,"value":149.99,"currency":"USD"%s}`, time.Now().Unix(), id, more)
}

const ecapiPath, capiPath = "/agentic/v1/events", "/agentic/v1/capi"

func withClick(click string) string { return `,"user_data":{"click_id":"` + click + `"}` }

// logEvents is a log_event request with its own idempotency key.
func logEvents(key string, events ...string) string {
	return fmt.Sprintf(`{"event_source_id":"my-shop","idempotency_key":"idempotency-key-%s","events":[%s]}`, key, strings.Join(events, ","))
}

func logEvent(kind, id, more string) string {
	return fmt.Sprintf(`{"event_id":%q,"event_type":%q,"event_time":%q%s}`, id, kind, time.Now().UTC().Format(time.RFC3339), more)
}

// fill sends events of every kind.
func (p *receiverPage) fill() {
	p.t.Helper()
	p.send(ecapiPath, ecapi("order-1001", withClick(clickID)))
	p.send(capiPath, logEvents("1", logEvent("page_view", "view-1", ""), logEvent("add_to_cart", "cart-1", `,"user_match":{"click_id":"`+clickID+`","click_id_type":"clkid"},"custom_data":{"value":89,"currency":"EUR"}`)))
	p.request(http.MethodPost, "/api/v1/faults", `{"fault":"503","retry_after":1}`, nil)
	p.send(ecapiPath, ecapi("order-1002", withClick(clickID)))
	p.send(ecapiPath, ecapi("order-1002", withClick(clickID)))
	p.send(ecapiPath, ecapi("order-1001", withClick(clickID)))
	p.send(ecapiPath, strings.Replace(ecapi("order-1003", `,"user_data":{"external_id":"ada@example.com"}`), "USD", "usd", 1))
	p.send("/agentic/v1/event", ecapi("order-1004", ""))
	p.send(capiPath, logEvents("2", logEvent("refund", "refund-7", `,"custom_data":{"value":19.5,"currency":"EUR","order_id":"998"}`)))
	p.rows(9)
}

// screenshot writes what the browser shows to the folder CLICKID_SCREENSHOTS, if
// it is set.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	folder := os.Getenv("CLICKID_SCREENSHOTS")
	if folder == "" {
		return
	}
	image := get(b, chromedp.CaptureScreenshot())
	require.NoError(b.t, os.WriteFile(filepath.Join(folder, name+".png"), image, 0o600))
}

// resize changes the size of the page.
func (b *browser) resize(width, height int64) {
	b.t.Helper()
	b.run(chromedp.EmulateViewport(width, height))
}

// prefer selects the colour scheme, dark or light.
func (b *browser) prefer(scheme string) {
	b.t.Helper()
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	})
}

func TestReceive_live(t *testing.T) {
	t.Parallel()
	p := openReceiver(t)
	require.Contains(t, p.read("#variables"), "CLICKID_BASE_URL="+p.url)
	p.send(ecapiPath, ecapi("order-1", withClick(clickID)))
	p.rows(1)

	// Arrivals move neither the focus nor the selection.
	p.run(chromedp.Click(chromedp.CSS("#events button")))
	p.until(`document.activeElement.id === "detail"`)
	require.Contains(t, p.read("#detail"), "order-1")
	p.run(chromedp.Focus(chromedp.CSS("#events button")))
	selected := eval[string](p.browser, `(getSelection().selectAllChildren(document.querySelector("#detail pre")), getSelection().toString())`)
	require.Contains(t, selected, "order-1")
	p.send(ecapiPath, ecapi("order-2", ""))
	p.send(ecapiPath, ecapi("order-1", withClick(clickID)))
	rows := p.rows(3)
	require.Contains(t, rows[0], "duplicate ECAPI purchase order-1")
	require.Contains(t, rows[1], "accepted ECAPI purchase order-2")
	require.Contains(t, rows[2], "1 duplicate")
	require.Equal(t, "1", eval[string](p.browser, `document.activeElement.dataset.number`))
	require.Equal(t, "1", eval[string](p.browser, `document.querySelector("[aria-current]").dataset.number`))
	p.until(`document.querySelector("#detail").innerText.includes("1 of 2, 1 duplicate")`)
	p.until(`document.querySelector("#detail .arrival.link").textContent === "#3 duplicate 200"`)
	require.Equal(t, selected, eval[string](p.browser, "getSelection().toString()"))
	p.until(`document.querySelector("#count-accepted").textContent === "2"`)
	p.until(`document.querySelectorAll("#plot rect").length === 2`)

	// The keyboard is enough.
	p.run(chromedp.KeyEvent(kb.ArrowUp))
	p.run(chromedp.KeyEvent(kb.Enter))
	p.until(`document.querySelector("#detail h2").textContent.includes("order-2")`)
	p.run(chromedp.KeyEvent(kb.Escape))
	p.until(`!document.querySelector("#detail").open`)
	p.until(`document.activeElement.dataset.number === "2"`)

	p.run(chromedp.Click(chromedp.CSS("#clear")))
	p.rows(0)
	p.until(`!document.querySelector("#empty").hidden`)
	p.hasNoProblems()
}

func TestReceive_filter(t *testing.T) {
	t.Parallel()
	p := openReceiver(t)
	p.fill()
	choose := func(name, value string) {
		eval[bool](p.browser, `(() => {
			const field = document.querySelector("#filters").elements["`+name+`"];
			field.value = "`+value+`";
			return field.dispatchEvent(new Event("input", { bubbles: true }));
		})()`)
	}
	choose("verdict", "accepted")
	p.rows(5)
	choose("type", "purchase")
	p.rows(2)
	p.send(capiPath, logEvents("9", logEvent("lead", "lead-1", "")))
	p.send(ecapiPath, ecapi("order-2000", ""))
	require.Contains(t, p.rows(3)[0], "order-2000")
	choose("verdict", "")
	choose("text", "ISO 4217")
	require.Contains(t, p.rows(1)[0], "order-1003")
	choose("text", "nothing has this")
	p.rows(0)
	require.Equal(t, "No event matches the filter.", p.read("#no-match"))
	p.hasNoProblems()
}

func TestReceive_older(t *testing.T) {
	t.Parallel()
	p := openReceiver(t, "-keep", "250")
	events := make([]string, 270)
	for i := range events {
		events[i] = logEvent("lead", fmt.Sprintf("lead-%d", i), "")
	}
	p.send(capiPath, logEvents("1", events...))
	rows := p.rows(100)
	require.Contains(t, rows[0], "lead-269")
	require.Contains(t, rows[99], "lead-170")
	require.Equal(t, "100 of 270 shown, latest first, 20 older ones dropped", p.read("#summary"))
	for _, want := range []int{200, 250} {
		p.run(chromedp.Click(chromedp.CSS("#older")))
		rows = p.rows(want)
	}
	require.Contains(t, rows[249], "lead-20")
	p.until(`document.querySelector("#older").hidden`)
	p.hasNoProblems()
}

func TestReceive_detail(t *testing.T) {
	t.Parallel()
	p := openReceiver(t)
	p.fill()
	open := func(text string) string {
		eval[bool](p.browser, `(() => {
			const rows = Array.from(document.querySelectorAll("#events button"));
			rows.find(row => row.innerText.includes("`+text+`")).click();
			return true;
		})()`)
		p.until(`document.querySelector("#detail h2")?.textContent.includes("` + text + `")`)
		return p.read("#detail")
	}
	refused := open("order-1003")
	for _, want := range []string{
		"/currency", "must be an ISO 4217 currency code", "Three capital letters",
		"/user_data/external_id", "contains a raw e-mail address", "The platform refuses personal data",
		"POST /agentic/v1/events", "Bearer (not recorded)", `"id":"order-1003"`, "VALIDATION_ERROR", "Copy as curl",
	} {
		require.Contains(t, refused, want)
	}
	require.NotContains(t, refused, "scope3_test")
	require.Contains(t, open("/agentic/v1/event"), "The platform has no such path")

	retried := open("order-1002")
	require.Contains(t, retried, "#4 not processed 503")
	p.run(chromedp.Click(chromedp.CSS("#detail .arrival.link")))
	p.until(`document.querySelector("#detail").innerText.includes("a fault was injected")`)
	p.hasNoProblems()
}

func TestReceive_faults(t *testing.T) {
	t.Parallel()
	p := openReceiver(t)
	p.run(chromedp.Click(chromedp.CSS("#faults-toggle")))
	p.until(`document.querySelector("#fault-form").elements.fault.value === "429"`)
	p.run(chromedp.SetValue(chromedp.CSS("#fault-form [name=times]"), "2"))
	p.run(chromedp.Click(chromedp.CSS("#fault-form .primary")))
	p.until(`document.querySelector("#fault-list").textContent === "429 with Retry-After of 5 s: 2 requests left"`)
	p.send(ecapiPath, ecapi("order-1", ""))
	p.until(`document.querySelector("#fault-list").textContent === "429 with Retry-After of 5 s: 1 request left"`)
	p.send(ecapiPath, ecapi("order-1", ""))
	p.until(`document.querySelector("#faults-waiting").hidden`)
	p.send(ecapiPath, ecapi("order-1", ""))
	rows := p.rows(3)
	require.Contains(t, rows[0], "accepted ECAPI purchase order-1")
	require.Contains(t, rows[0], "attempt 3")
	require.Contains(t, rows[1], "fault 429")

	p.run(chromedp.Click(chromedp.CSS("#fault-form [name=always]")))
	p.run(chromedp.Click(chromedp.CSS("#fault-form .primary")))
	p.until(`document.querySelector("#fault-list").textContent.includes("every request")`)
	p.run(chromedp.Click(chromedp.CSS("#faults-clear")))
	p.until(`document.querySelector("#fault-list").textContent === ""`)
	p.hasNoProblems()
}

// TestReceive_restart checks that the page connects again, and that it does not
// confuse the events of two receivers, whose numbers are the same.
func TestReceive_restart(t *testing.T) {
	t.Parallel()
	var target atomic.Pointer[url.URL]
	refused := make(chan struct{}, 100)
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target.Load()) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
			select {
			case refused <- struct{}{}:
			default: // enough of them
			}
		},
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	p := &receiverPage{browser: startBrowser(t, "127.0.0.1", "")}
	p.resize(1280, 800)
	start := func(t *testing.T) {
		p.url = strings.TrimSuffix(startCommand(t, 1, "receive", "-addr", "127.0.0.1:0")["The page"], "/")
		parsed, err := url.Parse(p.url)
		require.NoError(t, err)
		target.Store(parsed)
	}
	t.Run("first", func(t *testing.T) {
		start(t)
		p.visit(front.URL)
		p.send(ecapiPath, ecapi("order-1", ""))
		require.Contains(t, p.rows(1)[0], "order-1")
	})
	for range 2 { // the page tries again after status 502
		select {
		case <-refused:
		case <-p.ctx.Done():
			t.Fatal("the page does not connect again")
		}
	}
	require.Equal(t, "reconnecting", p.read("#connection"))
	t.Run("second", func(t *testing.T) {
		start(t)
		p.send(ecapiPath, ecapi("order-2", ""))
		p.until(`document.querySelector("#events").innerText.includes("order-2")`)
		require.Len(t, p.rows(1), 1)
		require.Equal(t, "live", p.read("#connection"))
	})
}

// TestReceive_hostile sends events whose texts would act in a careless page.
func TestReceive_hostile(t *testing.T) {
	t.Parallel()
	p := openReceiver(t)
	const script = `<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>`
	p.send(ecapiPath, ecapi("x", `,"properties":{"a":"`+script+`"}`))
	p.send(ecapiPath, strings.Replace(ecapi("x", ""), `"x"`, `"`+script+`"`, 1))
	p.send(ecapiPath, `{"data_set_id":"`+script+`","event_type":"`+script+`","`+script+`":1,"currency":"`+script+`"}`)
	p.send("/"+strings.NewReplacer(`\"`, "%22", " ", "%20", "<", "%3C", ">", "%3E", "'", "%27").Replace(script), "<script>alert(1)</script>")
	p.request(http.MethodPost, ecapiPath, "\x1b[31m\x00\xff</pre><script>alert(1)</script>", map[string]string{"X-Html": "<svg onload=alert(1)>"})
	p.send(ecapiPath, ecapi("\u202eesrever", `,"user_data":{"click_id":"`+strings.Repeat("x", 3000)+`"}`))
	p.rows(6)
	for i := range 6 {
		p.run(chromedp.Click(chromedp.CSS(fmt.Sprintf(`#events li:nth-child(%d) button`, i+1))))
		p.until(fmt.Sprintf(`document.querySelector("#events li:nth-child(%d) button[aria-current]") && document.querySelector("#detail h3")`, i+1))
		p.until(`document.activeElement.id === "detail"`)
	}
	require.Equal(t, "clickid receive", eval[string](p.browser, "document.title"))
	require.Zero(t, eval[int](p.browser, `document.querySelectorAll("main img, main script, main svg, main b b, #events a").length`))
	p.hasNoProblems()

	// The policy would stop what the page did not, and the browser reports it.
	eval[bool](p.browser, `(() => {
		const script = document.createElement("script");
		try { script.textContent = "document.title = 'hacked'"; } catch { /* not a trusted type */ }
		document.body.append(script);
		const image = document.createElement("img");
		image.src = "data:image/png;base64,AAAA";
		document.body.append(image);
		return true;
	})()`)
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.problems) > 0
	}, patience, 20*time.Millisecond)
	require.Equal(t, "clickid receive", eval[string](p.browser, "document.title"))
}

// TestReceive_appearance checks that nothing is off-screen on a phone, and the
// contrast of every text, in both colour schemes.
func TestReceive_appearance(t *testing.T) {
	t.Parallel()
	p := openReceiver(t)
	for _, width := range []int64{360, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("receive-%d-%s", width, scheme)
			p.resize(width, 800)
			p.prefer(scheme)
			p.request(http.MethodDelete, "/api/v1/events", "", nil)
			p.rows(0)
			p.until(`!document.querySelector("#empty").hidden`)
			p.looksGood(name + "-empty")
			p.fill()
			p.send(ecapiPath, ecapi(strings.Repeat("long", 60), withClick(strings.Repeat("x", 2000))))
			p.rows(10)
			p.looksGood(name + "-long")
			p.request(http.MethodDelete, "/api/v1/events", "", nil)
			p.rows(0)
			p.fill()
			p.looksGood(name)
			p.run(chromedp.Click(chromedp.CSS("#faults-toggle")))
			p.request(http.MethodPost, "/api/v1/faults", `{"fault":"slow","times":3,"delay":2.5}`, nil)
			p.until(`document.querySelector("#fault-list").textContent !== ""`)
			p.looksGood(name + "-faults")
			p.request(http.MethodDelete, "/api/v1/faults", "", nil)
			p.run(chromedp.Click(chromedp.CSS("#faults-toggle")))
			p.run(chromedp.Click(chromedp.CSS("#events li:nth-child(3) button")))
			p.until(`document.activeElement.id === "detail"`)
			p.looksGood(name + "-detail")
			eval[bool](p.browser, `(document.querySelector("#detail").scrollTo(0, 1e6), true)`)
			p.looksGood(name + "-detail-end")
			p.run(chromedp.Click(chromedp.CSS("#detail .close")))
			p.until(`!document.querySelector("#detail").open`)
		}
	}
	p.hasNoProblems()
}

// looksGood checks the page as it is shown now.
func (p *receiverPage) looksGood(name string) {
	p.t.Helper()
	eval[bool](p.browser, "(scrollTo(0, 0), true)")
	p.screenshot(name)
	require.Empty(p.t, eval[[]string](p.browser, offScreen), name)
	require.Empty(p.t, eval[[]string](p.browser, faint), name)
}

// offScreen lists the elements that are wider than the page, outside of areas
// that scroll.
const offScreen = `Array.from(document.querySelectorAll("body *"), e => {
	const box = e.getBoundingClientRect();
	if (!box.width || e.closest("pre, .hidden") || box.left >= 0 && box.right <= document.documentElement.clientWidth + 0.5) return "";
	return e.tagName + "." + e.className + "#" + e.id + ": " + box.left + " to " + box.right;
}).filter(text => text)`

// faint lists the texts whose contrast is below 4.5.
const faint = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const paint = (colors) => {
		canvas.clearRect(0, 0, 1, 1);
		for (const color of colors) {
			canvas.fillStyle = color;
			canvas.fillRect(0, 0, 1, 1);
		}
		return Array.from(canvas.getImageData(0, 0, 1, 1).data).slice(0, 3);
	};
	const luminance = (rgb) => {
		const [r, g, b] = rgb.map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const found = [];
	for (const e of document.querySelectorAll("body *")) {
		const text = Array.from(e.childNodes).some(node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
		if (!text || !e.getClientRects().length || e.closest(".hidden, svg, option, :disabled")) continue;
		const backs = [];
		for (let at = e; at; at = at.parentElement) backs.unshift(getComputedStyle(at).backgroundColor);
		const back = paint(backs), front = paint([...backs, getComputedStyle(e).color]);
		const [high, low] = [luminance(back), luminance(front)].sort((a, b) => b - a);
		const ratio = (high + 0.05) / (low + 0.05);
		if (ratio < 4.5) found.push(e.tagName + "." + e.className + " " + e.textContent.slice(0, 30) + ": " + ratio.toFixed(2));
	}
	return found;
})()`
