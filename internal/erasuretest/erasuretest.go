// Package erasuretest checks that an erasure reaches every click of a visitor
// that a store and a linker hold.
package erasuretest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clickid/clickid"
)

// erasures are the ways to erase a visitor's clicks. Each can be repeated.
var erasures = map[string]func(*visitor) error{
	"Forget": (*visitor).withdraw,
	"Forget and the next page": func(v *visitor) error {
		if !v.withdrawn {
			return v.withdraw()
		}
		v.get("/next", nil)
		return nil
	},
	"a denial":    func(v *visitor) error { v.get("/", nil, "Sec-GPC"); return nil },
	"ForgetKey":   func(v *visitor) error { return v.tracker.ForgetKey(context.Background(), v.keys[len(v.keys)-1]) },
	"ForgetToken": func(v *visitor) error { return v.tracker.ForgetToken(context.Background(), v.tokens[len(v.tokens)-1]) },
}

// RunStore runs the suite on a store with its own links, as the linker of a
// cookie store, and as the primary of a fallback store.
func RunStore[S interface {
	clickid.Store
	clickid.Linker
}](t *testing.T, store S) {
	t.Helper()
	cookies, err := clickid.NewCookieStore([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	fallback, err := clickid.NewFallbackStore(store, cookies)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("store and linker", func(t *testing.T) { Run(t, clickid.Config{Store: store}) })
	t.Run("linker of a cookie store", func(t *testing.T) { Run(t, clickid.Config{Store: cookies, Linker: store}) })
	t.Run("primary of a fallback store", func(t *testing.T) { Run(t, clickid.Config{Store: fallback}) })
}

// Run runs the suite on the Store and the Linker of cfg. It leaves the records of
// other visitors behind.
func Run(t *testing.T, cfg clickid.Config) {
	t.Helper()
	cfg.StoreTimeout = time.Minute // the test must not depend on the machine
	cfg.Logger = slog.New(slog.DiscardHandler)
	for name, erase := range erasures {
		t.Run(name, func(t *testing.T) { supersededClicks(t, cfg, erase) })
		t.Run(name+" after each failure", func(t *testing.T) { eachFailure(t, cfg, erase) })
	}
	t.Run("ForgetKey of several devices", func(t *testing.T) { severalDevices(t, cfg) })
}

// supersededClicks erases three clicks, each with a link of its own.
func supersededClicks(t *testing.T, cfg clickid.Config, erase func(*visitor) error) {
	tracker := newTracker(t, cfg)
	other := newVisitor(t, tracker)
	other.land(newKey())
	v := newVisitor(t, tracker)
	for range 3 {
		v.land(newKey())
	}
	if err := erase(v); err != nil {
		t.Fatal(err)
	}
	v.isErased()
	if _, err := tracker.Linked(context.Background(), other.keys[0]); err != nil {
		t.Errorf("another visitor with the same click has lost it: %v", err)
	}
}

// eachFailure erases two clicks again and again, lets one call of the store or
// the linker fail in each first try, and repeats the erasure.
func eachFailure(t *testing.T, cfg clickid.Config, erase func(*visitor) error) {
	var faults faults
	if cfg.Linker != nil {
		cfg.Linker = brokenLinker{cfg.Linker, &faults}
	} else {
		cfg.Store = brokenStore{cfg.Store, brokenLinker{cfg.Store.(clickid.Linker), &faults}}
	}
	for n := int64(1); ; n++ {
		v := newVisitor(t, newTracker(t, cfg))
		v.land(newKey())
		v.land(newKey())
		faults.calls.Store(-n)
		err := erase(v)
		failed := faults.calls.Swap(0) >= 0
		if err != nil && !errors.Is(err, errUnavailable) {
			t.Fatal(err)
		}
		if failed {
			if err := erase(v); err != nil {
				t.Fatalf("the erasure after a failure of call %d: %v", n, err)
			}
		}
		v.isErased()
		if !failed {
			if n < 3 {
				t.Error("the erasure does not call store or linker")
			}
			return
		}
	}
}

// severalDevices links a customer's key from three devices. The third withdraws
// before the customer does.
func severalDevices(t *testing.T, cfg clickid.Config) {
	tracker := newTracker(t, cfg)
	customer := newKey()
	var devices []*visitor
	for range 3 {
		v := newVisitor(t, tracker)
		v.land(newKey())
		v.land(customer)
		devices = append(devices, v)
	}
	if err := devices[2].withdraw(); err != nil {
		t.Fatal(err)
	}
	devices[2].isErased()
	if _, err := tracker.Resolve(context.Background(), devices[0].tokens[0]); err != nil {
		t.Errorf("the withdrawal on one device has erased the click of another: %v", err)
	}
	if err := tracker.ForgetKey(context.Background(), customer); err != nil {
		t.Fatal(err)
	}
	for _, v := range devices {
		v.isErased()
	}
}

func newTracker(t *testing.T, cfg clickid.Config) *clickid.Tracker {
	t.Helper()
	tracker, err := clickid.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tracker
}

var keys atomic.Int64

// newKey returns a key that no other test uses.
func newKey() clickid.Key {
	return clickid.CustomerKey(fmt.Sprintf("erasuretest %d %d", time.Now().UnixNano(), keys.Add(1)))
}

// visitor is a browser, with what the application has stored of its clicks.
type visitor struct {
	t         *testing.T
	tracker   *clickid.Tracker
	cookie    *http.Cookie
	keys      []clickid.Key
	tokens    []string
	withdrawn bool
}

func newVisitor(t *testing.T, tracker *clickid.Tracker) *visitor {
	return &visitor{t: t, tracker: tracker}
}

// land stores a click and links it to k.
func (v *visitor) land(k clickid.Key) {
	v.t.Helper()
	v.get(fmt.Sprint("/?clkid=click-", len(v.tokens)), func(_ http.ResponseWriter, r *http.Request) {
		token, ok := clickid.Token(r.Context())
		if !ok {
			v.t.Fatal("the landing has stored no click")
		}
		if err := v.tracker.Link(r.Context(), k); err != nil {
			v.t.Fatal(err)
		}
		v.keys, v.tokens = append(v.keys, k), append(v.tokens, token)
	})
}

// get requests a page, with headers whose value is 1.
func (v *visitor) get(target string, page http.HandlerFunc, headers ...string) {
	v.t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, name := range headers {
		r.Header.Set(name, "1")
	}
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	w := httptest.NewRecorder()
	v.tracker.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page != nil {
			page(w, r)
		}
	})).ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		v.cookie = &http.Cookie{Name: c.Name, Value: c.Value}
		if c.MaxAge < 0 {
			v.cookie = nil
		}
	}
}

func (v *visitor) withdraw() (err error) {
	v.t.Helper()
	v.get("/withdraw", func(w http.ResponseWriter, r *http.Request) { err = v.tracker.Forget(w, r) })
	v.withdrawn = true
	return err
}

// isErased fails the test if anything finds a click of the visitor.
func (v *visitor) isErased() {
	v.t.Helper()
	for i, k := range v.keys {
		if _, err := v.tracker.Linked(context.Background(), k); !errors.Is(err, clickid.ErrNotFound) {
			v.t.Errorf("the link of click %d of %d is left: %v", i+1, len(v.keys), err)
		}
		if _, err := v.tracker.Resolve(context.Background(), v.tokens[i]); !errors.Is(err, clickid.ErrNotFound) {
			v.t.Errorf("click %d of %d is left: %v", i+1, len(v.keys), err)
		}
	}
}

var errUnavailable = errors.New("erasuretest: unavailable on purpose")

// faults lets one call fail. calls is negative until then.
type faults struct{ calls atomic.Int64 }

func (f *faults) next() error {
	if f.calls.Load() < 0 && f.calls.Add(1) == 0 {
		return errUnavailable
	}
	return nil
}

// brokenLinker is a linker with faults.
type brokenLinker struct {
	clickid.Linker
	*faults
}

func (l brokenLinker) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
	if err := l.next(); err != nil {
		return err
	}
	return l.Linker.Link(ctx, k, token, expires)
}

func (l brokenLinker) Linked(ctx context.Context, k clickid.Key) (string, error) {
	if err := l.next(); err != nil {
		return "", err
	}
	return l.Linker.Linked(ctx, k)
}

func (l brokenLinker) Unlink(ctx context.Context, k clickid.Key) error {
	if err := l.next(); err != nil {
		return err
	}
	return l.Linker.Unlink(ctx, k)
}

func (l brokenLinker) UnlinkToken(ctx context.Context, token string) error {
	if err := l.next(); err != nil {
		return err
	}
	return l.Linker.UnlinkToken(ctx, token)
}

// brokenStore is a store with links and faults.
type brokenStore struct {
	clickid.Store
	brokenLinker
}

func (s brokenStore) Load(ctx context.Context, token string) (clickid.Click, error) {
	if err := s.next(); err != nil {
		return clickid.Click{}, err
	}
	return s.Store.Load(ctx, token)
}

func (s brokenStore) Delete(ctx context.Context, token string) error {
	if err := s.next(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, token)
}
