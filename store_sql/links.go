package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/reference"
)

// Link implements [clickid.Linker].
func (s *Store) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
	if err := clickid.CheckLink(k, token, expires, s.now()); err != nil {
		return err
	}
	sealed, err := k.Seal(token)
	if err != nil {
		return err
	}
	key, hash := k.Hash(), reference.Hash(token)
	_, err = s.exec(ctx, "linking the click", s.sql.link, key[:], hash[:], sealed, expires.Unix())
	return err
}

// Linked implements [clickid.Linker].
func (s *Store) Linked(ctx context.Context, k clickid.Key) (string, error) {
	if err := k.Validate(); err != nil {
		return "", err
	}
	var sealed []byte
	var expires int64
	key := k.Hash()
	found, err := s.queryRow(ctx, "finding a link", s.sql.linked, []any{key[:]}, &sealed, &expires)
	if err != nil {
		return "", err
	}
	if !found {
		return "", clickid.ErrNotFound
	}
	if !time.Unix(expires, 0).After(s.now()) {
		return "", fmt.Errorf("%w: the link has expired", clickid.ErrNotFound)
	}
	return k.Open(sealed)
}

// Unlink implements [clickid.Linker].
func (s *Store) Unlink(ctx context.Context, k clickid.Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	key := k.Hash()
	_, err := s.exec(ctx, "removing a link", s.sql.unlink, key[:])
	return err
}

// UnlinkToken implements [clickid.Linker].
func (s *Store) UnlinkToken(ctx context.Context, token string) error {
	hash := reference.Hash(token)
	_, err := s.exec(ctx, "removing the links of a click", s.sql.unlinkFrom, hash[:])
	return err
}
