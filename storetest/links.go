package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
)

// token returns the n-th token of another store. A linker accepts the tokens of
// every store.
func token(n int) string { return fmt.Sprintf("token-of-another-store.%d~_", n) }

func (f linkerFixture) link(t *testing.T, k clickid.Key, token string) {
	t.Helper()
	isNil(t, "Link", f.linker.Link(f.ctx, k, token, time.Now().Add(lifetime)))
}

// linked fails the test unless k holds token.
func (f linkerFixture) linked(t *testing.T, what string, k clickid.Key, token string) {
	t.Helper()
	got, err := f.linker.Linked(f.ctx, k)
	if err != nil {
		t.Errorf("Linked of %s: %v", what, err)
	} else if got != token {
		t.Errorf("Linked of %s returned another token than was linked", what)
	}
}

// unlinked fails the test if k holds a token.
func (f linkerFixture) unlinked(t *testing.T, what string, k clickid.Key) {
	t.Helper()
	_, err := f.linker.Linked(f.ctx, k)
	is(t, "Linked of "+what, err, clickid.ErrNotFound)
}

func linkedTokenIsFound(t *testing.T, f linkerFixture) {
	tokens := map[string]clickid.Key{
		token(1): clickid.SessionKey("session"),
		token(2): clickid.CustomerKey("customer"),
		token(3): clickid.OrderKey("order"),
		"t":      clickid.OrderKey("short token"),
		strings.Repeat("t", clickid.MaxTokenLength): clickid.OrderKey("long token"),
	}
	for token, k := range tokens {
		f.link(t, k, token)
	}
	for range 2 { // looking a link up does not remove it
		for token, k := range tokens {
			f.linked(t, "a linked key", k, token)
		}
	}
}

func unknownKeyFindsNothing(t *testing.T, f linkerFixture) {
	k := clickid.SessionKey("unknown")
	f.unlinked(t, "an unknown key", k)
	isNil(t, "Unlink of an unknown key", f.linker.Unlink(f.ctx, k))
	isNil(t, "UnlinkToken of an unknown token", f.linker.UnlinkToken(f.ctx, token(1)))
	for name, token := range malformedTokens() {
		isNil(t, "UnlinkToken of "+name, f.linker.UnlinkToken(f.ctx, token))
	}
}

func emptyIsInvalid(t *testing.T, f linkerFixture) {
	expires := time.Now().Add(lifetime)
	for name, k := range map[string]clickid.Key{
		"the zero Key": {}, "an empty session": clickid.SessionKey(""), "an empty customer": clickid.CustomerKey(""), "an empty order": clickid.OrderKey(""),
	} {
		is(t, "Link of "+name, f.linker.Link(f.ctx, k, token(1), expires), clickid.ErrInvalid)
		_, err := f.linker.Linked(f.ctx, k)
		is(t, "Linked of "+name, err, clickid.ErrInvalid)
		is(t, "Unlink of "+name, f.linker.Unlink(f.ctx, k), clickid.ErrInvalid)
	}
	k := clickid.OrderKey("42")
	is(t, "Link of an empty token", f.linker.Link(f.ctx, k, "", expires), clickid.ErrInvalid)
	is(t, "Link of a token that is too long", f.linker.Link(f.ctx, k, strings.Repeat("t", clickid.MaxTokenLength+1), expires), clickid.ErrInvalid)
	f.unlinked(t, "a key whose link was refused", k)
}

func latestLinkWins(t *testing.T, f linkerFixture) {
	k := clickid.CustomerKey("42")
	for n := range 5 {
		f.link(t, k, token(n%3)) // the last two are linked again
		f.linked(t, "a key that was linked again", k, token(n%3))
	}
}

func severalKeysHoldOneToken(t *testing.T, f linkerFixture) {
	keys := []clickid.Key{clickid.SessionKey("a"), clickid.SessionKey("b"), clickid.CustomerKey("c"), clickid.OrderKey("d")}
	for _, k := range keys {
		f.link(t, k, token(1))
	}
	for _, k := range keys {
		f.linked(t, "one of several keys", k, token(1))
	}
}

func kindsAreDistinct(t *testing.T, f linkerFixture) {
	keys := []clickid.Key{clickid.SessionKey("42"), clickid.CustomerKey("42"), clickid.OrderKey("42")}
	for n, k := range keys {
		f.unlinked(t, "a key whose value has links of other kinds", k)
		f.link(t, k, token(n))
	}
	for n, k := range keys {
		f.linked(t, "a key whose value has links of other kinds", k, token(n))
	}
	isNil(t, "Unlink", f.linker.Unlink(f.ctx, keys[1]))
	f.unlinked(t, "the unlinked kind", keys[1])
	f.linked(t, "the kind before", keys[0], token(0))
	f.linked(t, "the kind after", keys[2], token(2))
}

// strangeValues returns distinct values, some of which are equal to a database
// collation, a driver that trims, or Unicode normalization.
func strangeValues() []string {
	long := strings.Repeat("long key ", 1200) // more than 10 KB
	return []string{
		"42", "042", " 42", "42 ", "42  ", "42\t", "42\n", "42\x00", "42\x00 ", "４２", "42\u200b", "-42", "42.0",
		"key", "Key", "KEY", "kéy", "ke\u0301y", "straße", "strasse", "STRASSE", "i", "I", "ı", "İ", "ǆ", "ǅ", "æ", "ae",
		"'", "''", `"`, "`", `\`, `\\`, "%", "_", "*", "?", "$1", ":42", "{42}", "key:42", "'; DROP TABLE links; --",
		" ", "\t", "\x00", "\xff", "\xff\xfe", "🛒", "null", "NULL", "nil", "0", "false", "../../42", "a@example.com",
		long, long + " ", long + "x", strings.ToUpper(long),
	}
}

func strangeKeysAreDistinct(t *testing.T, f linkerFixture) {
	var keys []clickid.Key
	for _, value := range strangeValues() {
		keys = append(keys, clickid.SessionKey(value), clickid.CustomerKey(value), clickid.OrderKey(value))
	}
	for n, k := range keys {
		f.link(t, k, token(n))
	}
	for n, k := range keys {
		f.linked(t, fmt.Sprintf("the value %.20q", strangeValues()[n/3]), k, token(n))
	}
	for n := 0; n < len(keys); n += 2 {
		isNil(t, "Unlink", f.linker.Unlink(f.ctx, keys[n]))
	}
	for n, k := range keys {
		what := fmt.Sprintf("the value %.20q", strangeValues()[n/3])
		if n%2 == 0 {
			f.unlinked(t, what+" after Unlink", k)
		} else {
			f.linked(t, what+" after Unlink of other values", k, token(n))
		}
	}
}

func unlinkRemovesOneLink(t *testing.T, f linkerFixture) {
	k, other := clickid.SessionKey("42"), clickid.SessionKey("43")
	f.link(t, k, token(1))
	f.link(t, other, token(1))
	isNil(t, "Unlink", f.linker.Unlink(f.ctx, k))
	f.unlinked(t, "an unlinked key", k)
	f.linked(t, "the token's other key", other, token(1))
	isNil(t, "a second Unlink", f.linker.Unlink(f.ctx, k))
	f.link(t, k, token(2))
	f.linked(t, "a key that was unlinked and linked again", k, token(2))
}

func unlinkTakesReadBackKey(t *testing.T, f linkerFixture) {
	k := clickid.CustomerKey("42")
	f.link(t, k, token(1))
	text, err := k.MarshalText()
	isNil(t, "MarshalText", err)
	var read clickid.Key
	isNil(t, "UnmarshalText", read.UnmarshalText(text))
	isNil(t, "Unlink", f.linker.Unlink(f.ctx, read))
	f.unlinked(t, "an unlinked key", k)
}

func unlinkTokenRemovesItsLinks(t *testing.T, f linkerFixture) {
	var keys []clickid.Key
	for n := range 25 {
		value := fmt.Sprint(n)
		keys = append(keys, clickid.SessionKey(value), clickid.CustomerKey(value), clickid.OrderKey(value))
	}
	other := clickid.OrderKey("other")
	f.link(t, other, token(2))
	for _, k := range keys {
		f.link(t, k, token(1))
	}
	isNil(t, "UnlinkToken", f.linker.UnlinkToken(f.ctx, token(1)))
	for _, k := range keys {
		f.unlinked(t, "a key of the unlinked token", k)
	}
	f.linked(t, "another token's key", other, token(2))
	isNil(t, "a second UnlinkToken", f.linker.UnlinkToken(f.ctx, token(1)))

	f.link(t, keys[0], token(1))
	f.linked(t, "a key that was linked again", keys[0], token(1))
	f.unlinked(t, "a key that was not linked again", keys[1])
	isNil(t, "UnlinkToken of a token that was linked again", f.linker.UnlinkToken(f.ctx, token(1)))
	f.unlinked(t, "a key that was linked and unlinked twice", keys[0])
}

func unlinkTokenLeavesLaterLinks(t *testing.T, f linkerFixture) {
	moved, returned := clickid.CustomerKey("moved"), clickid.CustomerKey("returned")
	f.link(t, moved, token(1))
	f.link(t, moved, token(2))
	f.link(t, returned, token(1))
	f.link(t, returned, token(2))
	f.link(t, returned, token(1))
	isNil(t, "UnlinkToken of the earlier token", f.linker.UnlinkToken(f.ctx, token(1)))
	f.linked(t, "a key that moved on to another token", moved, token(2))
	f.unlinked(t, "a key that returned to the unlinked token", returned)
}

func linkExpires(t *testing.T, f linkerFixture) {
	k, again, lasting := clickid.OrderKey("42"), clickid.OrderKey("43"), clickid.OrderKey("44")
	expires := f.soon()
	for _, k := range []clickid.Key{k, again} {
		isNil(t, "Link", f.linker.Link(f.ctx, k, token(1), expires))
	}
	f.link(t, lasting, token(1))
	f.link(t, again, token(1)) // extends the lifetime
	f.expire(t, f.linker, expires, func() error {
		_, err := f.linker.Linked(f.ctx, k)
		return err
	})
	f.linked(t, "a key whose link was extended", again, token(1))
	f.linked(t, "a key whose link has a longer lifetime", lasting, token(1))
	isNil(t, "Unlink of an expired link", f.linker.Unlink(f.ctx, k))
	isNil(t, "UnlinkToken of a token with an expired link", f.linker.UnlinkToken(f.ctx, token(1)))
	f.unlinked(t, "a key that was unlinked with others that expired", lasting)
}

func expiredLinkIsInvalid(t *testing.T, f linkerFixture) {
	k := clickid.SessionKey("42")
	for name, expires := range map[string]time.Time{"an hour ago": time.Now().Add(-time.Hour), "never": {}} {
		is(t, "Link that expired "+name, f.linker.Link(f.ctx, k, token(1), expires), clickid.ErrInvalid)
	}
	f.unlinked(t, "a key whose link was refused", k)
}

func contextEndsLinkerCalls(t *testing.T, f linkerFixture) {
	k := clickid.SessionKey("42")
	f.link(t, k, token(1))
	for name, ctx := range endedContexts(t) {
		endedBy(t, "Link", name, f.linker.Link(ctx, k, token(2), time.Now().Add(lifetime)), ctx)
		_, err := f.linker.Linked(ctx, k)
		endedBy(t, "Linked", name, err, ctx)
		endedBy(t, "Unlink", name, f.linker.Unlink(ctx, k), ctx)
		endedBy(t, "UnlinkToken", name, f.linker.UnlinkToken(ctx, token(1)), ctx)
	}
	f.linked(t, "a key", k, token(1))
}

// linkerFixture returns the fixture of a store that is also a linker.
func (f fixture) linkerFixture() linkerFixture {
	return linkerFixture{Options: f.Options, ctx: f.ctx, linker: f.store.(clickid.Linker)}
}

func clickIsFoundByKey(t *testing.T, f fixture) {
	l := f.linkerFixture()
	c, k := newClick(clickID), clickid.OrderKey("42")
	l.link(t, k, f.save(t, c))
	token, err := l.linker.Linked(f.ctx, k)
	isNil(t, "Linked", err)
	f.found(t, token, c)
}

func deletingUnlinks(t *testing.T, f fixture) {
	l := f.linkerFixture()
	deleted, kept := f.save(t, newClick("deleted")), f.save(t, newClick("kept"))
	keys := []clickid.Key{clickid.SessionKey("42"), clickid.CustomerKey("42"), clickid.OrderKey("42")}
	for _, k := range keys {
		l.link(t, k, deleted)
	}
	other := clickid.OrderKey("43")
	l.link(t, other, kept)
	isNil(t, "Delete", f.store.Delete(f.ctx, deleted))
	for _, k := range keys {
		l.unlinked(t, "a key of the deleted click", k)
	}
	l.linked(t, "a key of another click", other, kept)
}

func deletingLeavesLaterLinks(t *testing.T, f fixture) {
	l := f.linkerFixture()
	earlier, later := f.save(t, newClick("earlier")), f.save(t, newClick("later"))
	k := clickid.CustomerKey("42")
	l.link(t, k, earlier)
	l.link(t, k, later)
	isNil(t, "Delete of the earlier click", f.store.Delete(f.ctx, earlier))
	l.linked(t, "a key that moved on to a later click", k, later)
}
