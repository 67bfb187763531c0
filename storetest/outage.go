package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/clickid/clickid"
)

const (
	// callTimeout ends the calls of a store that hangs.
	callTimeout = 200 * time.Millisecond
	// overrun is how much later than its context a call may return, on a busy
	// machine.
	overrun = 10 * time.Second
)

// call is a call of a store or linker.
type call struct {
	name string
	do   func(ctx context.Context) error
}

func storeCalls(f fixture, token string) []call {
	return []call{
		{"Save", func(ctx context.Context) error { _, err := f.store.Save(ctx, newClick(clickID)); return err }},
		{"Load", func(ctx context.Context) error { _, err := f.store.Load(ctx, token); return err }},
		{"Delete", func(ctx context.Context) error { return f.store.Delete(ctx, token) }},
	}
}

func linkerCalls(f linkerFixture, k clickid.Key) []call {
	return []call{
		{"Link", func(ctx context.Context) error { return f.linker.Link(ctx, k, token(2), time.Now().Add(lifetime)) }},
		{"Linked", func(ctx context.Context) error { _, err := f.linker.Linked(ctx, k); return err }},
		{"Unlink", func(ctx context.Context) error { return f.linker.Unlink(ctx, k) }},
		{"UnlinkToken", func(ctx context.Context) error { return f.linker.UnlinkToken(ctx, token(1)) }},
	}
}

// brokenStoreTellsSo breaks the store. Its clicks are then unknown, not absent.
func brokenStoreTellsSo(t *testing.T, f fixture) {
	c := newClick(clickID)
	token := f.save(t, c)
	repair := f.Break(t, f.store)
	expectUnknown(t, "unavailable", storeCalls(f, token))
	repair()
	f.found(t, token, c)
}

func brokenLinkerTellsSo(t *testing.T, f linkerFixture) {
	k := clickid.OrderKey("1")
	f.link(t, k, token(1))
	repair := f.Break(t, f.linker)
	expectUnknown(t, "unavailable", linkerCalls(f, k))
	repair()
	f.linked(t, "a key after an outage", k, token(1))
}

// hangingStoreEndsWithContext stops the server's responses: the context ends in
// the middle of a call.
func hangingStoreEndsWithContext(t *testing.T, f fixture) {
	token := f.save(t, newClick(clickID))
	resume := f.Hang(t, f.store)
	defer resume()
	expectUnknown(t, "hanging", storeCalls(f, token))
}

func hangingLinkerEndsWithContext(t *testing.T, f linkerFixture) {
	k := clickid.OrderKey("1")
	f.link(t, k, token(1))
	resume := f.Hang(t, f.linker)
	defer resume()
	expectUnknown(t, "hanging", linkerCalls(f, k))
}

// expectUnknown makes calls of a store in a state in which it cannot tell what
// it holds. Each must return with its context at the latest.
func expectUnknown(t *testing.T, state string, calls []call) {
	t.Helper()
	for _, call := range calls {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		returned := make(chan error, 1)
		go func() { returned <- call.do(ctx) }()
		select {
		case err := <-returned:
			if err == nil || errors.Is(err, clickid.ErrNotFound) || errors.Is(err, clickid.ErrInvalid) {
				t.Errorf("%s of a store that is %s returned the error %v, which must not be nil and must not match ErrNotFound or ErrInvalid", call.name, state, err)
			}
		case <-time.After(callTimeout + overrun):
			t.Errorf("%s of a store that is %s did not return %v after its context ended", call.name, state, overrun)
		}
		cancel()
	}
}
