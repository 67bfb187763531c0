package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
)

// lifetime is the lifetime of clicks and links that do not expire in the test.
const lifetime = 30 * 24 * time.Hour

const clickID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

// longestID uses every character that is accepted by default.
var longestID = ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-" + strings.Repeat("z", clickid.MaxIDLength))[:clickid.MaxIDLength]

// otherIDs are those that only Config.Accept admits, and the forms of other ad
// networks.
var otherIDs = []string{
	"2XyRkB:SAxyPTkqzR2T3TRzKUkHVX2zhPVcTTE0",                                          // Impact
	"IwZXh0bgNhZW0BMABhZGlkAasR3tB7mQ" + strings.Repeat("Xk9-_", 28) + "_aem_7dQv0pTz", // Meta
	"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
	strings.Repeat(":%\\'", clickid.MaxIDLength/4),
}

// newClick returns a click that is captured now.
func newClick(id string) clickid.Click {
	at := time.Unix(time.Now().Unix(), 0).UTC()
	return clickid.Click{ID: id, Param: "clkid", At: at, Expires: at.Add(lifetime)}
}

func (f fixture) save(t *testing.T, c clickid.Click) (token string) {
	t.Helper()
	token, err := f.store.Save(f.ctx, c)
	if err != nil {
		t.Fatalf("Save: %v", err)
	}
	return token
}

// found fails the test unless Load returns want for token.
func (f fixture) found(t *testing.T, token string, want clickid.Click) {
	t.Helper()
	got, err := f.store.Load(f.ctx, token)
	if err != nil {
		t.Fatalf("Load of a saved click: %v", err)
	}
	if got != want {
		t.Fatalf("Load returned %+v, want %+v", got, want)
	}
}

// is fails the test unless err matches want and no other error of the package.
func is(t *testing.T, call string, err, want error) {
	t.Helper()
	for _, other := range []error{clickid.ErrNotFound, clickid.ErrInvalid} {
		if matches := errors.Is(err, other); matches != (other == want) {
			t.Errorf("%s returned the error %q, which must match only %q", call, err, want)
			return
		}
	}
}

// isEither fails the test unless err matches either ErrNotFound or ErrInvalid.
func isEither(t *testing.T, call string, err error) {
	t.Helper()
	if errors.Is(err, clickid.ErrNotFound) == errors.Is(err, clickid.ErrInvalid) {
		t.Errorf("%s returned the error %v, which must match either ErrNotFound or ErrInvalid", call, err)
	}
}

// isNil fails the test unless the call succeeded.
func isNil(t *testing.T, call string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", call, err)
	}
}

func savedClickIsFound(t *testing.T, f fixture) {
	clicks := []clickid.Click{newClick(clickID), newClick("a"), newClick(longestID), newClick("case"), newClick("CASE")}
	old := newClick("captured-long-ago")
	old.At = old.At.Add(-399 * 24 * time.Hour)
	short := newClick("other-parameter")
	short.Param = "sc3clid"
	longest := newClick(longestID)
	longest.Param = strings.Repeat("p", 64)
	longest.Expires = longest.At.Add(clickid.MaxTTL)
	landed := newClick("landing")
	landed.LandingIP, landed.LandingUserAgent = "2001:db8::1", "Mözilla/5.0 (X11; Linux)"
	clicks = append(clicks, old, short, longest, landed)
	for _, id := range otherIDs {
		clicks = append(clicks, newClick(id))
	}

	tokens := make([]string, len(clicks))
	for i, c := range clicks {
		tokens[i] = f.save(t, c)
	}
	for range 2 { // loading a click does not remove it
		for i, c := range clicks {
			f.found(t, tokens[i], c)
		}
	}
}

func timesAreWholeSeconds(t *testing.T, f fixture) {
	at := time.Unix(time.Now().Unix()-60, 999_999_999).In(time.FixedZone("elsewhere", -5*60*60))
	c := clickid.Click{ID: clickID, Param: "clkid", At: at, Expires: at.Add(lifetime)}
	token := f.save(t, c)
	c.At, c.Expires = time.Unix(c.At.Unix(), 0).UTC(), time.Unix(c.Expires.Unix(), 0).UTC()
	f.found(t, token, c)
}

func tokensHaveTheirForm(t *testing.T, f fixture) {
	longest := newClick(longestID)
	longest.Param = strings.Repeat("p", 64)
	longest.Expires = longest.At.Add(clickid.MaxTTL)
	for _, c := range []clickid.Click{newClick("a"), newClick(clickID), longest} {
		token := f.save(t, c)
		if len(token) == 0 || len(token) > clickid.MaxTokenLength {
			t.Errorf("a token has %d characters, want 1 to %d", len(token), clickid.MaxTokenLength)
		}
		if strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-") != "" {
			t.Error("a token has characters outside of [A-Za-z0-9._~-]")
		}
	}
}

func tokensBeginWithTheirIssueTime(t *testing.T, f fixture) {
	before := time.Now().Truncate(time.Second)
	token := f.save(t, newClick(clickID))
	issued, ok := extension.TokenTime(token)
	if !ok || issued.Before(before) || issued.After(time.Now()) {
		t.Errorf("the token does not begin with the time of Save, as that of extension.NewToken does: %v", issued)
	}
}

// tokensCannotBeGuessed loads tokens that are similar to a valid one. It
// detects tokens that are consecutive numbers and signatures that are not
// checked.
func tokensCannotBeGuessed(t *testing.T, f fixture) {
	known := map[string]bool{}
	for range 50 {
		token := f.save(t, newClick(clickID))
		if known[token] && !f.Stateless {
			t.Fatal("two clicks have the same token")
		}
		known[token] = true
	}
	for token := range known {
		for i := range token {
			for _, c := range []byte{'A', 'z', '0' + byte(i%10), token[i] + 1, token[i] - 1} {
				forged := token[:i] + string(c) + token[i+1:]
				if forged == token {
					continue
				}
				if _, err := f.store.Load(f.ctx, forged); err == nil {
					t.Fatalf("a token with another character at position %d finds a click", i)
				}
			}
		}
		for _, forged := range []string{token[1:], token[:len(token)-1], token + "A", token + token} {
			_, err := f.store.Load(f.ctx, forged)
			isEither(t, "Load of a token that was cut or lengthened", err)
		}
		break // one token is enough
	}
}

func unacceptableClickIsInvalid(t *testing.T, f fixture) {
	for name, edit := range map[string]func(*clickid.Click){
		"the zero click":       func(c *clickid.Click) { *c = clickid.Click{} },
		"no ID":                func(c *clickid.Click) { c.ID = "" },
		"an ID with a space":   func(c *clickid.Click) { c.ID = "a b" },
		"an ID that is long":   func(c *clickid.Click) { c.ID = longestID + "z" },
		"an ID beyond ASCII":   func(c *clickid.Click) { c.ID = "clïck" },
		"no Param":             func(c *clickid.Click) { c.Param = "" },
		"a Param with a quote": func(c *clickid.Click) { c.Param = "a'b" },
		"no At":                func(c *clickid.Click) { c.At = time.Time{} },
		"no Expires":           func(c *clickid.Click) { c.Expires = time.Time{} },
		"Expires before At":    func(c *clickid.Click) { c.Expires = c.At.Add(-time.Second) },
		"no second between At and Expires": func(c *clickid.Click) {
			c.At = c.At.Add(time.Minute)
			c.Expires = c.At.Add(time.Second - 1)
		},
		"Expires in the past": func(c *clickid.Click) {
			c.At, c.Expires = c.At.Add(-time.Hour), c.At.Add(-time.Minute)
		},
	} {
		c := newClick(clickID)
		edit(&c)
		_, err := f.store.Save(f.ctx, c)
		is(t, "Save of a click with "+name, err, clickid.ErrInvalid)
	}
}

// malformedTokens returns tokens that are invalid for every store.
func malformedTokens() map[string]string {
	return map[string]string{
		"an empty token":           "",
		"a token with a space":     "a b",
		"a token with a quote":     "a'b",
		"a token with NUL":         "a\x00b",
		"a token with a newline":   "a\nb",
		"a token beyond ASCII":     "clïck",
		"a token that is not text": "\xff\xfe",
		"a token with wildcards":   "%*",
		"a token that is too long": strings.Repeat("a", clickid.MaxTokenLength+1),
	}
}

func malformedTokenIsInvalid(t *testing.T, f fixture) {
	f.save(t, newClick(clickID))
	for name, token := range malformedTokens() {
		_, err := f.store.Load(f.ctx, token)
		is(t, "Load of "+name, err, clickid.ErrInvalid)
	}
}

func foreignTokenFindsNothing(t *testing.T, f fixture) {
	token, err := f.newStore(t).Save(f.ctx, newClick(clickID))
	isNil(t, "Save", err)
	_, err = f.store.Load(f.ctx, token)
	isEither(t, "Load of another store's token", err)
}

func deleteForgetsOneClick(t *testing.T, f fixture) {
	c := newClick(clickID)
	another := newClick("another")
	token, other := f.save(t, c), f.save(t, another)
	isNil(t, "Delete", f.store.Delete(f.ctx, token))
	if f.Stateless {
		f.found(t, token, c)
	} else {
		_, err := f.store.Load(f.ctx, token)
		is(t, "Load of a deleted click", err, clickid.ErrNotFound)
	}
	f.found(t, other, another)
	isNil(t, "a second Delete", f.store.Delete(f.ctx, token))
}

func deletingUnknownSucceeds(t *testing.T, f fixture) {
	foreign, err := f.newStore(t).Save(f.ctx, newClick(clickID))
	isNil(t, "Save", err)
	isNil(t, "Delete of another store's token", f.store.Delete(f.ctx, foreign))
	for name, token := range malformedTokens() {
		isNil(t, "Delete of "+name, f.store.Delete(f.ctx, token))
	}
}

func clickExpires(t *testing.T, f fixture) {
	c := newClick(clickID)
	c.Expires = f.soon()
	lasting := newClick("lasting")
	token, other := f.save(t, c), f.save(t, lasting)
	f.expire(t, f.store, c.Expires, func() error {
		_, err := f.store.Load(f.ctx, token)
		return err
	})
	f.found(t, other, lasting)
	isNil(t, "Delete of an expired click", f.store.Delete(f.ctx, token))
	if checker, ok := f.store.(clickid.TokenChecker); ok {
		if err := checker.CheckToken(token); err != nil {
			is(t, "CheckToken of an expired token", err, clickid.ErrNotFound)
		}
	}
}

// soon returns a time of expiry that the check can wait for.
func (o Options) soon() time.Time {
	d := 3 * time.Second // on a busy machine, saving may take a second or two
	if o.Advance != nil {
		d = time.Hour
	}
	return time.Unix(time.Now().Add(d).Unix(), 0).UTC()
}

// expire waits until lookUp finds nothing, which must happen at expires and not
// earlier.
func (o Options) expire(t *testing.T, store any, expires time.Time, lookUp func() error) {
	t.Helper()
	err := lookUp()
	if err != nil && time.Now().Before(expires) {
		t.Fatalf("looking up before the expiry: %v", err)
	}
	if o.Advance != nil {
		o.Advance(t, store, time.Until(expires)-time.Minute)
		isNil(t, "looking up a minute before the expiry", lookUp())
		o.Advance(t, store, time.Minute)
		is(t, "looking up after the expiry", lookUp(), clickid.ErrNotFound)
		return
	}
	for deadline := expires.Add(5 * time.Second); err == nil; err = lookUp() {
		if time.Now().After(deadline) {
			t.Fatal("found five seconds after the expiry")
		}
		time.Sleep(50 * time.Millisecond)
	}
	is(t, "looking up after the expiry", err, clickid.ErrNotFound)
}

func contextEndsStoreCalls(t *testing.T, f fixture) {
	c := newClick(clickID)
	token := f.save(t, c)
	for name, ctx := range endedContexts(t) {
		_, err := f.store.Save(ctx, c)
		endedBy(t, "Save", name, err, ctx)
		_, err = f.store.Load(ctx, token)
		endedBy(t, "Load", name, err, ctx)
		endedBy(t, "Delete", name, f.store.Delete(ctx, token), ctx)
	}
	f.found(t, token, c)
}

func endedContexts(t *testing.T) map[string]context.Context {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	t.Cleanup(cancel)
	return map[string]context.Context{"was cancelled": cancelled, "passed its deadline": late}
}

func endedBy(t *testing.T, call, how string, err error, ctx context.Context) {
	t.Helper()
	if !errors.Is(err, ctx.Err()) {
		t.Errorf("%s with a context that %s returned the error %v, which must match %q", call, how, err, ctx.Err())
	}
	if errors.Is(err, clickid.ErrNotFound) || errors.Is(err, clickid.ErrInvalid) {
		t.Errorf("%s with a context that %s returned the error %v, which must not match ErrNotFound or ErrInvalid", call, how, err)
	}
}

func tokenIsChecked(t *testing.T, f fixture) {
	checker := f.store.(clickid.TokenChecker)
	token := f.save(t, newClick(clickID))
	isNil(t, "CheckToken of a saved click", checker.CheckToken(token))
	for name, malformed := range malformedTokens() {
		is(t, "CheckToken of "+name, checker.CheckToken(malformed), clickid.ErrInvalid)
	}
	foreign, err := f.newStore(t).Save(f.ctx, newClick(clickID))
	isNil(t, "Save", err)
	for _, token := range []string{foreign, token[1:], token + "A", "A" + token} {
		checked := checker.CheckToken(token)
		_, err := f.store.Load(f.ctx, token)
		if errors.Is(checked, clickid.ErrInvalid) != errors.Is(err, clickid.ErrInvalid) {
			t.Errorf("CheckToken returned the error %v where Load returned %v", checked, err)
		}
	}
}

// errorsKeepSecrets makes calls fail and looks for the token and the click ID
// in their errors.
func errorsKeepSecrets(t *testing.T, f fixture) {
	c := newClick("click-id-that-must-not-be-logged")
	token := f.save(t, c)
	expired := c
	expired.Expires = expired.At.Add(-time.Second)
	var errs []error
	_, err := f.store.Save(f.ctx, expired)
	errs = append(errs, err)
	for _, ctx := range endedContexts(t) {
		_, err = f.store.Save(ctx, c)
		errs = append(errs, err)
		_, err = f.store.Load(ctx, token)
		errs = append(errs, err, f.store.Delete(ctx, token))
	}
	for _, forged := range []string{"A" + token, token + "!"} {
		_, err = f.store.Load(f.ctx, forged)
		errs = append(errs, err)
	}
	isNil(t, "Delete", f.store.Delete(f.ctx, token))
	_, err = f.store.Load(f.ctx, token)
	errs = append(errs, err)
	for _, err := range errs {
		if err != nil && (strings.Contains(err.Error(), token) || strings.Contains(err.Error(), c.ID)) {
			t.Error("an error contains a token or a click ID, which must not be logged")
		}
	}
}
