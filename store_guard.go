package clickid

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// guardedStore converts a panic of a store into an error, so that it does not
// break the page.
type guardedStore struct{ Store }

func (g guardedStore) Save(ctx context.Context, c Click) (token string, err error) {
	defer recovered(&err)
	token, err = g.Store.Save(ctx, c)
	if err == nil && !validToken(token) {
		return "", fmt.Errorf("clickid: the store returned a token that is empty, too long or has characters outside [A-Za-z0-9._~-]")
	}
	return token, err
}

func (g guardedStore) Load(ctx context.Context, token string) (c Click, err error) {
	defer recovered(&err)
	return g.Store.Load(ctx, token)
}

func (g guardedStore) Delete(ctx context.Context, token string) (err error) {
	defer recovered(&err)
	return g.Store.Delete(ctx, token)
}

// guardedLinker is guardedStore for a linker.
type guardedLinker struct{ Linker }

func (g guardedLinker) Link(ctx context.Context, k Key, token string, expires time.Time) (err error) {
	defer recovered(&err)
	return g.Linker.Link(ctx, k, token, expires)
}

func (g guardedLinker) Linked(ctx context.Context, k Key) (token string, err error) {
	defer recovered(&err)
	return g.Linker.Linked(ctx, k)
}

func (g guardedLinker) Unlink(ctx context.Context, k Key) (err error) {
	defer recovered(&err)
	return g.Linker.Unlink(ctx, k)
}

func (g guardedLinker) UnlinkToken(ctx context.Context, token string) (err error) {
	defer recovered(&err)
	return g.Linker.UnlinkToken(ctx, token)
}

// guardedChecker is guardedStore for a TokenChecker.
type guardedChecker struct{ TokenChecker }

func (g guardedChecker) CheckToken(token string) (err error) {
	defer recovered(&err)
	return g.TokenChecker.CheckToken(token)
}

// recovered is deferred around a call of a store.
func recovered(err *error) {
	if p := panicError(recover(), "the store"); p != nil {
		*err = p
	}
}

// panicError returns an error for the value of a panic, or nil. It contains only
// the type of the value, which may be personal, or the text of a runtime error.
func panicError(value any, who string) error {
	switch p := value.(type) {
	case nil:
		return nil
	case runtime.Error:
		return fmt.Errorf("clickid: %s panicked: %w", who, p)
	default:
		return fmt.Errorf("clickid: %s panicked with a value of type %T", who, p)
	}
}
