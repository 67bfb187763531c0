package redisstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/redis/go-redis/v9"
)

// A link is two records, in different slots of a cluster:
//
//	link:KEY       the hash of the token and the encrypted token; it expires with the link
//	links:{TOKEN}  a sorted set of the hashes of all keys that were linked to the
//	               token, by the time at which each link expires
//
// The first finds the token. The second finds the links of a token that is
// deleted, and confirms each link: a link that is not in the set does not count.
// Deleting the set therefore ends all links of a token at once, even if the
// application links another key meanwhile or a later command fails. A set can
// contain keys that were linked to another token since. Their links are not
// deleted with the set's token.

// addLink adds a key to the set of a token's links, removes expired keys, and
// makes the set expire with its last link.
// KEYS: the set. ARGV: the current time and the link's expiry in milliseconds,
// the key's hash.
var addLink = redis.NewScript(`
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return redis.call('PEXPIRE', KEYS[1], last[2] - ARGV[1])
`)

// takeAll returns the members of a sorted set and deletes it, and other records
// with it.
// KEYS: the set, the other records.
var takeAll = redis.NewScript(`
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
redis.call('DEL', unpack(KEYS))
return members
`)

// take returns a value and deletes it. Redis 6.0 does not have GETDEL.
// KEYS: the record.
var take = redis.NewScript(`
local value = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return value
`)

// removeOf deletes a link if it belongs to a token.
// KEYS: the link. ARGV: the token's hash.
var removeOf = redis.NewScript(`
local value = redis.call('GET', KEYS[1])
if value and string.sub(value, 1, #ARGV[1]) == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0
`)

// Link stores a token under the application's key until expires, in two commands.
// A later link of the same key replaces it. The error matches
// [clickid.ErrInvalid] when the key is zero, the token is malformed, or expires
// has passed.
func (s *Store) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
	now := time.Now()
	if err := extension.CheckLink(k, token, expires, now); err != nil {
		return err
	}
	sealed, err := extension.Seal(k, token)
	if err != nil {
		return err
	}
	key, hash := keyHash(k), tokenHash(token)
	err = addLink.Run(ctx, s.client, []string{s.linksKey(hash)}, now.UnixMilli(), expires.UnixMilli(), key).Err()
	if err == nil {
		err = s.client.Set(ctx, s.linkKey(key), hash+string(sealed), expires.Sub(now)).Err()
	}
	if err != nil {
		return fmt.Errorf("redisstore: linking the click: %w", hideArguments(err))
	}
	return nil
}

// Linked returns the token that was linked to the application's key, in two
// commands. The error matches [clickid.ErrNotFound] when there is no link or it
// has expired, and [clickid.ErrInvalid] when the key is zero.
func (s *Store) Linked(ctx context.Context, k clickid.Key) (string, error) {
	if err := k.Validate(); err != nil {
		return "", err
	}
	for before := ""; ; {
		value, confirmed, err := s.findLink(ctx, keyHash(k))
		switch {
		case err != nil:
			return "", fmt.Errorf("redisstore: finding the link: %w", hideArguments(err))
		case confirmed:
			return extension.Open(k, []byte(value[sha256.Size:]))
		case value == "" || value == before:
			return "", clickid.ErrNotFound
		}
		// The key may have been linked to another token between the two reads. A
		// link that has not changed and is still not confirmed does not count.
		before = value
	}
}

// findLink returns the record of a key's link, or "" without a link, and whether
// the token's set confirms it.
func (s *Store) findLink(ctx context.Context, key string) (value string, confirmed bool, err error) {
	value, err = s.client.Get(ctx, s.linkKey(key)).Result()
	if errors.Is(err, redis.Nil) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if len(value) <= sha256.Size {
		return "", false, errors.New("the record is not a link: set Config.Prefix to one that no other program uses")
	}
	err = s.client.ZScore(ctx, s.linksKey(value[:sha256.Size]), key).Err()
	if errors.Is(err, redis.Nil) {
		return value, false, nil
	}
	return value, err == nil, err
}

// Unlink deletes the link of the application's key. An unknown key is not an
// error; a zero key is one that matches [clickid.ErrInvalid].
func (s *Store) Unlink(ctx context.Context, k clickid.Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	key := keyHash(k)
	value, err := take.Run(ctx, s.client, []string{s.linkKey(key)}).Text()
	if err == nil && len(value) > sha256.Size {
		err = s.client.ZRem(ctx, s.linksKey(value[:sha256.Size]), key).Err()
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("redisstore: deleting the link: %w", hideArguments(err))
	}
	return nil
}

// UnlinkToken deletes all links to a token. Unknown and malformed tokens are not
// an error.
func (s *Store) UnlinkToken(ctx context.Context, token string) error {
	hash := tokenHash(token)
	if err := s.forget(ctx, hash, s.linksKey(hash)); err != nil {
		return fmt.Errorf("redisstore: deleting the links of the click: %w", hideArguments(err))
	}
	return nil
}

// forget deletes the records of a token and then its links, which have not
// counted since the first command. The first record is the set of the links.
func (s *Store) forget(ctx context.Context, tokenHash string, records ...string) error {
	keys, err := takeAll.Run(ctx, s.client, records).StringSlice()
	if err != nil && len(records) > 1 && redis.HasErrorPrefix(err, "TRYAGAIN") {
		// A slot moves, and the records are on two servers. The set goes last: until
		// then the links lead to the token in the next try.
		if err = s.client.Del(ctx, records[1]).Err(); err == nil {
			keys, err = takeAll.Run(ctx, s.client, records[:1]).StringSlice()
		}
	}
	if err != nil || len(keys) == 0 {
		return err
	}
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			removeOf.Eval(ctx, p, []string{s.linkKey(key)}, tokenHash)
		}
		return nil
	})
	return err
}

// keyHash returns the hash that stands for an application's key in the records.
func keyHash(k clickid.Key) string {
	hash := extension.KeyHash(k)
	return string(hash[:])
}
