package redisstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/clickid/clickid"
	"github.com/redis/go-redis/v9"
)

// A link is two records, which a cluster keeps in different places:
//
//	link:KEY       the hash of the token, then the sealed token; expires with the link
//	links:{TOKEN}  a sorted set of the hashes of all keys that were linked to
//	               the token, by the time when each link expires
//
// The first finds the token. The second finds the links of a token that is to
// be forgotten, and confirms each: a link that is not in it does not count. So
// all links of a token end in the one moment in which it is removed, whatever
// was being linked meanwhile and whatever fails afterwards. A set may name keys
// that have moved on to another token: only links that still hold the token
// are removed with it.

// addLink enters a key into the set of a token's links, removes what has
// expired, and lets the set expire with its last link.
// KEYS: the set. ARGV: the time now, the link's expiry (milliseconds), its key.
var addLink = redis.NewScript(`
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return redis.call('PEXPIRE', KEYS[1], last[2] - ARGV[1])
`)

// takeAll returns the members of the first key, a sorted set, and removes it
// and all other keys.
var takeAll = redis.NewScript(`
local members = redis.call('ZRANGE', KEYS[1], 0, -1)
redis.call('DEL', unpack(KEYS))
return members
`)

// take returns a value and removes it. GETDEL is younger than Redis 6.0.
var take = redis.NewScript(`
local value = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return value
`)

// removeOf removes a link if it is one of a token.
// KEYS: the link. ARGV: the token's hash.
var removeOf = redis.NewScript(`
local value = redis.call('GET', KEYS[1])
if value and string.sub(value, 1, #ARGV[1]) == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0
`)

// Link implements [clickid.Linker].
func (s *Store) Link(ctx context.Context, k clickid.Key, token string, expires time.Time) error {
	now := time.Now()
	if err := clickid.CheckLink(k, token, expires, now); err != nil {
		return err
	}
	sealed, err := k.Seal(token)
	if err != nil {
		return err
	}
	key, hash := keyHash(k), tokenHash(token)
	err = addLink.Run(ctx, s.client, []string{s.linksKey(hash)}, now.UnixMilli(), expires.UnixMilli(), key).Err()
	if err == nil {
		err = s.client.Set(ctx, s.linkKey(key), hash+string(sealed), expires.Sub(now)).Err()
	}
	if err != nil {
		return fmt.Errorf("redisstore: linking in Redis: %w", err)
	}
	return nil
}

// Linked implements [clickid.Linker].
func (s *Store) Linked(ctx context.Context, k clickid.Key) (string, error) {
	if err := k.Validate(); err != nil {
		return "", err
	}
	for before := ""; ; {
		value, confirmed, err := s.findLink(ctx, keyHash(k))
		switch {
		case err != nil:
			return "", fmt.Errorf("redisstore: finding a link in Redis: %w", err)
		case confirmed:
			return k.Open([]byte(value[sha256.Size:]))
		case value == "" || value == before:
			return "", clickid.ErrNotFound
		}
		// The key may have moved on to another token between the two reads. A
		// link that is the same and still not confirmed does not count.
		before = value
	}
}

// findLink returns the record of a key's link, which is empty when there is
// none, and whether the token's set confirms it.
func (s *Store) findLink(ctx context.Context, key string) (value string, confirmed bool, err error) {
	value, err = s.client.Get(ctx, s.linkKey(key)).Result()
	if errors.Is(err, redis.Nil) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if len(value) <= sha256.Size {
		return "", false, errors.New("the record is no link; does something else use the prefix?")
	}
	err = s.client.ZScore(ctx, s.linksKey(value[:sha256.Size]), key).Err()
	if errors.Is(err, redis.Nil) {
		return value, false, nil
	}
	return value, err == nil, err
}

// Unlink implements [clickid.Linker].
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
		return fmt.Errorf("redisstore: removing a link from Redis: %w", err)
	}
	return nil
}

// UnlinkToken implements [clickid.Linker].
func (s *Store) UnlinkToken(ctx context.Context, token string) error {
	hash := tokenHash(token)
	if err := s.forget(ctx, hash, s.linksKey(hash)); err != nil {
		return fmt.Errorf("redisstore: removing links from Redis: %w", err)
	}
	return nil
}

// forget removes the records of a token, the first of which is the set of its
// links, and then the links, which no longer count by then.
func (s *Store) forget(ctx context.Context, tokenHash string, records ...string) error {
	keys, err := takeAll.Run(ctx, s.client, records).StringSlice()
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

// keyHash is what the store keeps of an application's key.
func keyHash(k clickid.Key) string {
	hash := k.Hash()
	return string(hash[:])
}
