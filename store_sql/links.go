package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/reference"
)

// Link stores a token under the application's key until expires, in one
// statement. A later link of the same key replaces it. The error matches
// [clickid.ErrInvalid] when the key is zero, the token is malformed, or expires
// has passed.
func (s *Store) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
	if err := extension.CheckLink(k, token, expires, s.now()); err != nil {
		return err
	}
	sealed, err := extension.Seal(k, token)
	if err != nil {
		return err
	}
	key, hash := extension.KeyHash(k), reference.Hash(token)
	_, err = s.exec(ctx, "linking the click", s.sql.link, key[:], hash[:], sealed, expires.Unix())
	return err
}

// Linked returns the token that was linked to the application's key, in one
// statement. The error matches [clickid.ErrNotFound] when there is no link or it
// has expired, and [clickid.ErrInvalid] when the key is zero.
func (s *Store) Linked(ctx context.Context, k clickid.Key) (string, error) {
	if err := k.Validate(); err != nil {
		return "", err
	}
	var sealed []byte
	var expires int64
	key := extension.KeyHash(k)
	found, err := s.queryRow(ctx, "finding the link", s.sql.linked, []any{key[:]}, &sealed, &expires)
	if err != nil {
		return "", err
	}
	if !found {
		return "", clickid.ErrNotFound
	}
	if !time.Unix(expires, 0).After(s.now()) {
		return "", fmt.Errorf("%w: the link has expired", clickid.ErrNotFound)
	}
	return extension.Open(k, sealed)
}

// Unlink deletes the link of the application's key. An unknown key is not an
// error; a zero key is one that matches [clickid.ErrInvalid].
func (s *Store) Unlink(ctx context.Context, k clickid.Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	key := extension.KeyHash(k)
	_, err := s.exec(ctx, "deleting the link", s.sql.unlink, key[:])
	return err
}

// UnlinkToken deletes all links to a token. Unknown and malformed tokens are not
// an error.
func (s *Store) UnlinkToken(ctx context.Context, token string) error {
	hash := reference.Hash(token)
	_, err := s.exec(ctx, "deleting the links of the click", s.sql.unlinkFrom, hash[:])
	return err
}
