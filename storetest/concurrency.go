package storetest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/clickid/clickid"
)

// visitors is the number of goroutines that use a store at the same time.
const visitors = 64

// atOnce calls act for all visitors at the same time and waits for the calls.
func atOnce(act func(visitor int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for n := range visitors {
		done.Add(1)
		go func() {
			defer done.Done()
			start.Wait()
			act(n)
		}()
	}
	start.Done()
	done.Wait()
}

func manyVisitorsAtOnce(t *testing.T, f fixture) {
	var clicks [visitors]clickid.Click
	var tokens [visitors]string
	atOnce(func(n int) {
		clicks[n] = newClick(fmt.Sprintf("visitor-%d", n))
		token, err := f.store.Save(f.ctx, clicks[n])
		isNil(t, "Save", err)
		if got, err := f.store.Load(f.ctx, token); err != nil || got != clicks[n] {
			t.Errorf("Load returned another click than was saved, and the error %v", err)
		}
		if n%2 == 1 {
			isNil(t, "Delete", f.store.Delete(f.ctx, token))
		}
		tokens[n] = token
	})
	for n, token := range tokens {
		if n%2 == 0 || f.Stateless {
			f.found(t, token, clicks[n])
			continue
		}
		_, err := f.store.Load(f.ctx, token)
		is(t, "Load of a deleted click", err, clickid.ErrNotFound)
	}
}

func manyVisitorsLinkAtOnce(t *testing.T, f fixture) {
	l := f.linkerFixture()
	atOnce(func(n int) {
		token, err := f.store.Save(f.ctx, newClick(fmt.Sprintf("visitor-%d", n)))
		isNil(t, "Save", err)
		session, order := clickid.SessionKey(fmt.Sprint(n)), clickid.OrderKey(fmt.Sprint(n))
		l.link(t, session, token)
		l.link(t, order, token)
		l.linked(t, "a visitor's own order", order, token)
		if n%2 == 1 {
			isNil(t, "Delete", f.store.Delete(f.ctx, token))
			l.unlinked(t, "a deleted click's session", session)
			l.unlinked(t, "a deleted click's order", order)
		}
	})
	for n := 0; n < visitors; n += 2 {
		token, err := l.linker.Linked(f.ctx, clickid.OrderKey(fmt.Sprint(n)))
		isNil(t, "Linked after all calls", err)
		_, err = f.store.Load(f.ctx, token)
		isNil(t, "Load after all calls", err)
	}
}

// manyLinksAtOnce links every visitor's session to the same token, every order
// to its own token, and one customer to each of these in turn.
func manyLinksAtOnce(t *testing.T, f linkerFixture) {
	shared := token(visitors)
	customer := clickid.CustomerKey("42")
	own := map[string]bool{}
	for n := range visitors {
		own[token(n)] = true
	}
	atOnce(func(n int) {
		session, order := clickid.SessionKey(fmt.Sprint(n)), clickid.OrderKey(fmt.Sprint(n))
		for range 3 {
			f.link(t, session, shared)
			f.link(t, order, token(n))
			f.link(t, customer, token(n))
			f.linked(t, "a visitor's session", session, shared)
			f.linked(t, "a visitor's order", order, token(n))
			if got, err := f.linker.Linked(f.ctx, customer); err != nil || !own[got] {
				t.Errorf("Linked of a key that is being linked returned none of the linked tokens, and the error %v", err)
			}
		}
	})
	for n := range visitors {
		f.linked(t, "a session after all calls", clickid.SessionKey(fmt.Sprint(n)), shared)
		f.linked(t, "an order after all calls", clickid.OrderKey(fmt.Sprint(n)), token(n))
	}
	isNil(t, "UnlinkToken", f.linker.UnlinkToken(f.ctx, shared))
	for n := range visitors {
		f.unlinked(t, "a session whose token was unlinked", clickid.SessionKey(fmt.Sprint(n)))
	}
}

// linksAndUnlinkingAtOnce links keys to a token while the token is unlinked.
// After a last UnlinkToken all its links must be gone, and those of other
// tokens must remain.
func linksAndUnlinkingAtOnce(t *testing.T, f linkerFixture) {
	shared := token(visitors)
	atOnce(func(n int) {
		if n%2 == 1 {
			isNil(t, "UnlinkToken", f.linker.UnlinkToken(f.ctx, shared))
			return
		}
		session, order := clickid.SessionKey(fmt.Sprint(n)), clickid.OrderKey(fmt.Sprint(n))
		f.link(t, session, shared)
		f.link(t, order, shared)
		f.link(t, order, token(n))
	})
	isNil(t, "UnlinkToken", f.linker.UnlinkToken(f.ctx, shared))
	for n := 0; n < visitors; n += 2 {
		f.unlinked(t, "a session whose token was unlinked", clickid.SessionKey(fmt.Sprint(n)))
		f.linked(t, "an order that moved on", clickid.OrderKey(fmt.Sprint(n)), token(n))
	}
}

// movingKeyIsNeverUnlinked links a key to one token after another, and unlinks
// each earlier token, while the key is looked up. The key must hold a token at
// all times.
func movingKeyIsNeverUnlinked(t *testing.T, f linkerFixture) {
	const moves = 100
	k := clickid.CustomerKey("42")
	f.link(t, k, token(0))
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		for n := range moves {
			f.link(t, k, token(n+1))
			isNil(t, "UnlinkToken of the earlier token", f.linker.UnlinkToken(f.ctx, token(n)))
		}
	}()
	var readers sync.WaitGroup
	for range 4 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for {
				select {
				case <-moved:
					return
				default:
				}
				if _, err := f.linker.Linked(f.ctx, k); err != nil {
					t.Errorf("Linked of a key that moves: %v", err)
					return
				}
			}
		}()
	}
	readers.Wait()
	<-moved
	f.linked(t, "a key that has moved", k, token(moves))
}
