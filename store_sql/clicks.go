package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/reference"
)

// Save stores a click in one statement and returns its token. The token is
// random and does not contain the click. The error matches [clickid.ErrInvalid]
// when the click is invalid or has expired.
func (s *Store) Save(ctx context.Context, c clickid.Click) (string, error) {
	if err := extension.CheckSave(c, s.now()); err != nil {
		return "", err
	}
	token, err := reference.New(s.now())
	if err != nil {
		return "", err
	}
	hash := reference.Hash(token)
	if _, err := s.exec(ctx, "saving the click", s.sql.save, hash[:], c.ID, c.Param, c.LandingIP, c.LandingUserAgent, c.At.Unix(), c.Expires.Unix()); err != nil {
		return "", err
	}
	return token, nil
}

// Load returns the click of a token in one statement, with times in whole
// seconds and UTC. The error matches [clickid.ErrNotFound] when the click is
// unknown, deleted or expired, and [clickid.ErrInvalid] when the token is
// malformed.
func (s *Store) Load(ctx context.Context, token string) (clickid.Click, error) {
	if err := s.CheckToken(token); err != nil {
		return clickid.Click{}, err
	}
	var c clickid.Click
	var at, expires int64
	hash := reference.Hash(token)
	found, err := s.queryRow(ctx, "loading the click", s.sql.load, []any{hash[:]}, &c.ID, &c.Param, &c.LandingIP, &c.LandingUserAgent, &at, &expires)
	if err != nil {
		return clickid.Click{}, err
	}
	if !found {
		return clickid.Click{}, clickid.ErrNotFound
	}
	c.At, c.Expires = time.Unix(at, 0).UTC(), time.Unix(expires, 0).UTC()
	if err := c.Validate(); err != nil {
		// %v, since the token is valid: the error must not match ErrInvalid.
		return clickid.Click{}, fmt.Errorf("sqlstore: loading the click in %s: the row is damaged: %v", s.database, err)
	}
	if !c.Expires.After(s.now()) {
		return clickid.Click{}, fmt.Errorf("%w: the click has expired", clickid.ErrNotFound)
	}
	return c, nil
}

// Delete deletes the click of a token and all links to it. Unknown, expired and
// malformed tokens are not an error.
func (s *Store) Delete(ctx context.Context, token string) error {
	// The click goes first: the links lead nowhere without it.
	hash := reference.Hash(token)
	if _, err := s.exec(ctx, "deleting the click", s.sql.remove, hash[:]); err != nil {
		return err
	}
	return s.UnlinkToken(ctx, token)
}

// CheckToken returns an error that matches [clickid.ErrInvalid] when the token
// does not have the form of this store's tokens. It does not query the database.
func (s *Store) CheckToken(token string) error {
	if !reference.Valid(token) {
		return fmt.Errorf("%w: malformed token", clickid.ErrInvalid)
	}
	return nil
}
