package clickid

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errNoLinker is the error of link functions without a linker.
var errNoLinker = errors.New("clickid: no Linker is configured; the cookie store stores no links; set Config.Linker to a Redis or SQL store")

// Resolve returns the click of a token that was stored with an order, a payment
// or a queued event. It needs no request. The error matches [ErrNotFound] if
// the click has expired or was deleted, and [ErrInvalid] if the token is
// malformed or forged. Any other error means that the store is unavailable.
func (t *Tracker) Resolve(ctx context.Context, token string) (Click, error) {
	if t == nil {
		return Click{}, errNilTracker
	}
	if !validToken(token) {
		return Click{}, errMalformedToken
	}
	if t.local != nil {
		if c, local, err := t.local.loadLocally(token); local {
			if err == nil {
				if err = t.checkRevoked(ctx, token); err != nil {
					return Click{}, err
				}
			}
			return c, err
		}
	}
	storeCtx, cancel := t.jobContext(ctx)
	defer cancel()
	start := time.Now()
	c, err := t.store.Load(storeCtx, token)
	if err != nil {
		return Click{}, t.lookupError(ctx, start, err)
	}
	return c, nil
}

// Link links the visitor's click to a key of the application. [Tracker.Linked]
// finds it by the key in a payment webhook or on another device of the
// customer. The latest link of a key takes precedence. Call Link again when a
// login renews the session.
//
// The error matches [ErrNotFound] if the visitor has no click, like most
// visitors, and [ErrNoConsent] before the visitor has consented. A click that
// could not be stored on the landing is stored now.
func (t *Tracker) Link(ctx context.Context, k Key) error {
	if err := t.checkLinkable(k); err != nil {
		return err
	}
	token, expires, err := t.linkable(ctx, true)
	if err != nil {
		return err
	}
	storeCtx, cancel := t.storeContext(ctx)
	defer cancel()
	start := time.Now()
	if err := t.link(storeCtx, t.linker, t.ownKey(k), token, expires); err != nil {
		t.observeFailure(ctx, start, err)
		return fmt.Errorf("clickid: linking the click: %w", err)
	}
	return nil
}

// LinkIn is Link in the order's transaction: the link is stored if the
// transaction commits.
//
//	err = tracker.LinkIn(ctx, store.In(tx), clickid.OrderKey(order.ID))
//
// Linked finds the link if the linker has the same records as [Config].Linker.
// LinkIn reads the link that it replaces with the same linker and does not load
// the click, so that the transaction needs no second connection.
// A click that is not stored yet is stored outside of the transaction. The link
// is limited by ctx and not by [Config].StoreTimeout, since a timeout would
// abort the transaction. Its error is returned and not reported.
func (t *Tracker) LinkIn(ctx context.Context, transaction Linker, k Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	token, expires, err := t.linkable(ctx, false)
	if err != nil {
		return err
	}
	return t.link(ctx, transaction, t.ownKey(k), token, expires)
}

// linkable returns the token of the visitor's click and the expiry of its links.
// It stores a click that is not stored yet. Without load it leaves the click
// unloaded, since a store in the same database would need a second connection
// beside that of the transaction; the link then lasts as long as a click can.
func (t *Tracker) linkable(ctx context.Context, load bool) (token string, expires time.Time, err error) {
	v := t.visitor(ctx)
	if v == nil {
		return "", time.Time{}, ErrNotFound
	}
	if token, ok := v.unloadedToken(); ok && !load && !t.loadsLocally(token) {
		if v.currentConsent() != ConsentGranted {
			return "", time.Time{}, ErrNoConsent
		}
		return token, t.now().Add(t.ttl), nil
	}
	click, err := v.lookup(ctx)
	if errors.Is(err, ErrNotFound) {
		return "", time.Time{}, err
	}
	if v.currentConsent() != ConsentGranted {
		return "", time.Time{}, ErrNoConsent
	}
	token = v.currentToken(ctx)
	if err != nil {
		if token == "" {
			return "", time.Time{}, err
		}
		// The click may exist even though it could not be loaded. A link that
		// outlives its click finds nothing.
		return token, t.now().Add(t.ttl), nil
	}
	if token == "" {
		// The store does not have the click: it is that of WithClick, or could
		// not be stored on the landing.
		if token, _, err = t.save(ctx, click); err != nil {
			return "", time.Time{}, err
		}
		if v.tracker == t {
			v.change(func() { v.token = token })
		}
	}
	return token, click.Expires, nil
}

// Linked returns the click that is linked to the application's key. The error
// matches [ErrNotFound] if k has no link or if the store does not know the linked
// token after a change of its keys, and [ErrInvalid] if k is empty. Any
// other error means that the linker or the store is unavailable: return an
// error from the webhook, so that it is sent again.
func (t *Tracker) Linked(ctx context.Context, k Key) (Click, error) {
	token, err := t.linkedToken(ctx, k)
	if err != nil {
		return Click{}, err
	}
	return t.clickOfLink(ctx, token)
}

// clickOfLink returns the click of a linked token.
func (t *Tracker) clickOfLink(ctx context.Context, token string) (Click, error) {
	c, err := t.Resolve(ctx, token)
	if errors.Is(err, ErrInvalid) {
		// This does not change later: the click of the link is lost.
		return Click{}, fmt.Errorf("%w: the store does not know the linked token, after a change of keys or of the store", ErrNotFound)
	}
	return c, err
}

func (t *Tracker) linkedToken(ctx context.Context, k Key) (string, error) {
	if err := t.checkLinkable(k); err != nil {
		return "", err
	}
	storeCtx, cancel := t.jobContext(ctx)
	defer cancel()
	start := time.Now()
	token, err := t.linker.Linked(storeCtx, t.ownKey(k))
	if err != nil {
		return "", t.lookupError(ctx, start, err)
	}
	return token, nil
}

func (t *Tracker) checkLinkable(k Key) error {
	switch {
	case t == nil:
		return errNilTracker
	case t.linker == nil:
		return errNoLinker
	}
	return k.Validate()
}

// lookupError returns ErrNotFound as it is and reports other errors.
func (t *Tracker) lookupError(ctx context.Context, start time.Time, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalid) {
		return err
	}
	t.observeFailure(ctx, start, err)
	return fmt.Errorf("clickid: looking up the click: %w", err)
}

// fill sets the click of e to the one linked to k. With later it sets the
// token, for a sender that resolves it.
func (t *Tracker) fill(ctx context.Context, k Key, e *Event, later bool) error {
	token, err := t.linkedToken(ctx, k)
	if err != nil {
		return err
	}
	if later && !t.loadsLocally(token) {
		e.ClickToken = token
		return nil
	}
	if e.Click, err = t.clickOfLink(ctx, token); err == nil {
		e.ClickToken = token
	}
	return err
}
