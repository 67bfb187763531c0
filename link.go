package clickid

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errNoLinker is what link functions answer when the configuration has none.
var errNoLinker = errors.New("clickid: no Linker is configured; the cookie store keeps no links, so set Config.Linker to a Redis or SQL store")

// Resolve returns the click of a token that was kept with an order, a payment
// or a queued event. No request is needed. The error matches [ErrNotFound]
// when the click has expired or was deleted, [ErrInvalid] when the token is
// malformed or forged, and neither when the store could not tell.
func (t *Tracker) Resolve(ctx context.Context, token string) (Click, error) {
	if !validToken(token) {
		return Click{}, errMalformedToken
	}
	if t.local != nil {
		if c, local, err := t.local.loadLocally(token); local {
			return c, err
		}
	}
	storeCtx, cancel := t.jobContext(ctx)
	defer cancel()
	c, err := t.store.Load(storeCtx, token)
	if err != nil {
		return Click{}, t.lookupError(ctx, err)
	}
	return c, nil
}

// Link files the visitor's click under the application's key, so that
// [Tracker.Linked] finds it where there is no visitor: in a payment webhook, or
// on the customer's other device. The latest link of a key wins, and a session
// that is renewed at login is linked again by the same call.
//
// The error matches [ErrNotFound] when the visitor has no click, which most
// have not, and [ErrNoConsent] before the visitor has agreed. A click that the
// store could not keep on the landing is stored now.
func (t *Tracker) Link(ctx context.Context, k Key) error {
	if err := t.checkLinkable(k); err != nil {
		return err
	}
	token, expires, err := t.linkable(ctx)
	if err != nil {
		return err
	}
	storeCtx, cancel := t.storeContext(ctx)
	defer cancel()
	if err := t.linker.Link(storeCtx, k, token, expires); err != nil {
		t.observe(ctx, Observation{Kind: KindStoreError, Err: err})
		return fmt.Errorf("clickid: the linker could not link the click: %w", err)
	}
	return nil
}

// LinkIn is Link in the order's own transaction: the link is there exactly
// when the order is.
//
//	err = tracker.LinkIn(ctx, store.In(tx), clickid.OrderKey(order.ID))
//
// Linked finds it when the linker shares its records with [Config].Linker. A
// click that is not stored yet is stored first, outside of the transaction. The
// link's time is that of ctx and not of [Config].StoreTimeout, which would end the
// transaction with it, and its error is the transaction's: it is returned and
// not reported.
func (t *Tracker) LinkIn(ctx context.Context, transaction Linker, k Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	token, expires, err := t.linkable(ctx)
	if err != nil {
		return err
	}
	return transaction.Link(ctx, k, token, expires)
}

// linkable returns the token of the visitor's click, which it stores where that
// is not done yet, and when a link to it shall expire.
func (t *Tracker) linkable(ctx context.Context) (token string, expires time.Time, err error) {
	v := visitFrom(ctx)
	if v == nil {
		return "", time.Time{}, ErrNotFound
	}
	click, err := v.lookup(ctx)
	if errors.Is(err, ErrNotFound) {
		return "", time.Time{}, err
	}
	if v.currentConsent() != ConsentGranted {
		return "", time.Time{}, ErrNoConsent
	}
	own := v.tracker == t
	if own {
		token = v.currentToken(ctx)
	}
	if err != nil {
		if token == "" {
			return "", time.Time{}, err
		}
		// The click may be there although the store could not load it now. A
		// link that outlives it finds nothing.
		return token, t.now().Add(t.ttl), nil
	}
	if token == "" {
		// A click that this store does not have: that of WithClick or of another
		// tracker, or one that the store could not keep on the landing.
		if token, err = t.save(ctx, click); err != nil {
			return "", time.Time{}, err
		}
		if own {
			v.stored(token)
		}
	}
	return token, click.Expires, nil
}

// Linked returns the click that was linked to the application's key. The error
// matches [ErrNotFound] when there is none, which includes a linked token that
// the store does not know after a change of its keys, [ErrInvalid] when k is
// empty, and neither when the linker or the store could not tell. Let the
// webhook fail in the last case, so that it is sent again.
func (t *Tracker) Linked(ctx context.Context, k Key) (Click, error) {
	token, err := t.linkedToken(ctx, k)
	if err != nil {
		return Click{}, err
	}
	return t.clickOfLink(ctx, token)
}

// clickOfLink returns the click of a token that a link has held.
func (t *Tracker) clickOfLink(ctx context.Context, token string) (Click, error) {
	c, err := t.Resolve(ctx, token)
	if errors.Is(err, ErrInvalid) {
		// It will stay so: the link has lost its click.
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
	token, err := t.linker.Linked(storeCtx, k)
	if err != nil {
		return "", t.lookupError(ctx, err)
	}
	return token, nil
}

func (t *Tracker) checkLinkable(k Key) error {
	if t.linker == nil {
		return errNoLinker
	}
	return k.Validate()
}

// lookupError passes a proven absence on and reports everything else.
func (t *Tracker) lookupError(ctx context.Context, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalid) {
		return err
	}
	t.observe(ctx, Observation{Kind: KindStoreError, Err: err})
	return fmt.Errorf("clickid: the store could not look the click up: %w", err)
}

// fill puts the click linked to k into e. With later it puts the token there
// and leaves the look-up to the sender.
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
