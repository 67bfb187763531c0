// Package redisstore keeps clicks and links in Redis or Valkey, version 6.0 or
// later: one server, Sentinel, Cluster or a ring of servers.
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	store, err := redisstore.New(redisstore.Config{Client: client})
//
// While the server refuses connections, a client with its usual options tries
// again until the tracker's timeout ends (250 ms), on each landing. One with
// MaxRetries: -1, DialerRetries: 1 and DialerRetryTimeout: time.Millisecond
// gives up at once, and reports why. A silent server costs the timeout with any
// options; [clickid.NewTieredStore] keeps the clicks meanwhile.
//
// The server lets clicks and links expire by itself. When its memory is full,
// the policy noeviction refuses new clicks, and volatile-ttl forgets those
// first that expire first; the other policies forget any. What Redis does not
// keep on disk is lost when it restarts.
//
// A user of its own needs no more than [Permissions].
package redisstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/redisclient"
	"github.com/clickid/clickid/internal/reference"
	"github.com/redis/go-redis/v9"
)

// DefaultPrefix begins all keys unless [Config.Prefix] says otherwise.
const DefaultPrefix = "clickid:"

// Permissions are the rules of a Redis user (ACL SETUSER) for the store with the
// default prefix.
const Permissions = "~" + DefaultPrefix + "* +get +set +del +zadd +zrange +zrevrange +zremrangebyscore +zscore +zrem +pexpire +eval +evalsha"

// Config configures a [Store]. Later changes have no effect.
type Config struct {
	// Client is how Redis is reached: redis.NewClient, NewFailoverClient,
	// NewClusterClient, NewRing or NewUniversalClient makes one. Its options
	// must say ContextTimeoutEnabled, since without it the client waits for
	// seconds for a server that is silent. They should not let it read from
	// replicas (ReadOnly, RouteByLatency, RouteRandomly), since one that lags
	// behind knows no click of a visitor who has just landed. The store does
	// not close it. Required.
	Client redis.UniversalClient
	// Prefix begins all keys. It holds no braces, which would decide where a
	// cluster keeps a key. Defaults to [DefaultPrefix].
	Prefix string
}

// Store is a [clickid.Store] and a [clickid.Linker] in Redis. It is safe for
// concurrent use, opens no connection and starts no goroutine.
//
// Saving and loading a click is one command each; linking and finding a link
// are two. Records are filed under hashes and hold neither tokens nor the
// application's keys. No command touches two slots of a cluster.
type Store struct {
	client redis.UniversalClient
	prefix string
}

// New returns a store, or an error that names every problem of cfg. It does
// not ask the server whether it is there: ping it yourself if you want to know.
func New(cfg Config) (*Store, error) {
	s := &Store{client: cfg.Client, prefix: cfg.Prefix}
	if s.prefix == "" {
		s.prefix = DefaultPrefix
	}
	var problems []error
	if strings.ContainsAny(s.prefix, "{}") {
		problems = append(problems, errors.New("redisstore: Config.Prefix must not contain braces, which decide where a cluster keeps a key"))
	}
	if err := redisclient.Check(s.client); err != nil {
		problems = append(problems, fmt.Errorf("redisstore: Config.Client %w", err))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return s, nil
}

// Save implements [clickid.Store].
func (s *Store) Save(ctx context.Context, c clickid.Click) (string, error) {
	now := time.Now()
	if err := clickid.CheckSave(c, now); err != nil {
		return "", err
	}
	value, err := c.MarshalBinary()
	if err != nil {
		return "", err
	}
	token, err := reference.New()
	if err != nil {
		return "", err
	}
	if err := s.client.Set(ctx, s.clickKey(tokenHash(token)), value, c.Expires.Sub(now)).Err(); err != nil {
		return "", fmt.Errorf("redisstore: saving the click in Redis: %w", err)
	}
	return token, nil
}

// Load implements [clickid.Store].
func (s *Store) Load(ctx context.Context, token string) (clickid.Click, error) {
	if err := s.CheckToken(token); err != nil {
		return clickid.Click{}, err
	}
	value, err := s.client.Get(ctx, s.clickKey(tokenHash(token))).Bytes()
	if errors.Is(err, redis.Nil) {
		return clickid.Click{}, clickid.ErrNotFound
	}
	if err != nil {
		return clickid.Click{}, fmt.Errorf("redisstore: loading the click from Redis: %w", err)
	}
	var c clickid.Click
	if err := c.UnmarshalBinary(value); err != nil {
		// %v, since the token is right: the caller must not take this for a forgery.
		return clickid.Click{}, fmt.Errorf("redisstore: loading the click from Redis: %v", err)
	}
	// The click is kept to the second, and the server's clock may be another.
	if !c.Expires.After(time.Now()) {
		return clickid.Click{}, fmt.Errorf("%w: it has expired", clickid.ErrNotFound)
	}
	return c, nil
}

// Delete implements [clickid.Store].
func (s *Store) Delete(ctx context.Context, token string) error {
	hash := tokenHash(token)
	if err := s.forget(ctx, hash, s.linksKey(hash), s.clickKey(hash)); err != nil {
		return fmt.Errorf("redisstore: deleting the click from Redis: %w", err)
	}
	return nil
}

// CheckToken implements [clickid.TokenChecker].
func (s *Store) CheckToken(token string) error {
	if !reference.Valid(token) {
		return fmt.Errorf("%w: malformed token", clickid.ErrInvalid)
	}
	return nil
}

// clickKey is where the click of a token is. The braces put it in the same slot
// of a cluster as the token's links.
func (s *Store) clickKey(tokenHash string) string {
	return s.prefix + "click:{" + spell(tokenHash) + "}"
}

// linksKey is where the keys that are linked to a token are.
func (s *Store) linksKey(tokenHash string) string {
	return s.prefix + "links:{" + spell(tokenHash) + "}"
}

// linkKey is where the link of an application's key is.
func (s *Store) linkKey(keyHash string) string { return s.prefix + "link:" + spell(keyHash) }

// tokenHash is what the store keeps of a token.
func tokenHash(token string) string {
	hash := reference.Hash(token)
	return string(hash[:])
}

// spell writes a hash with characters that a terminal shows.
func spell(hash string) string { return base64.RawURLEncoding.EncodeToString([]byte(hash)) }
