package clickid

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// guardedStore turns a store's panic into an error: a store is often somebody
// else's code, and the page must not break with it.
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

// guardedLinker does the same for a linker.
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

// guardedChecker does the same for a store's check of its tokens.
type guardedChecker struct{ TokenChecker }

func (g guardedChecker) CheckToken(token string) (err error) {
	defer recovered(&err)
	return g.TokenChecker.CheckToken(token)
}

// recovered is deferred around a store's call.
func recovered(err *error) {
	if p := panicError(recover(), "the store"); p != nil {
		*err = p
	}
}

// panicError returns an error for a panic's value, or nil. Of the value it keeps
// only the type, since the value may hold something personal; the text of the
// runtime's own panics does not.
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
