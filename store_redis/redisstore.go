// Package redisstore keeps clicks and links in Redis or Valkey, version 6.0 or
// later: a single server, Sentinel or Cluster.
//
//	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//	store, err := redisstore.New(redisstore.Config{Client: client})
//	if err != nil {
//		return err
//	}
//	tracker, err := clickid.New(clickid.Config{Store: store})
//	if err != nil {
//		return err
//	}
//	return http.ListenAndServe(":8080", tracker.Handler(mux))
//
// Saving and loading a click is one command, linking and finding a link are two.
// The server deletes expired clicks and links by itself.
//
// # Outages
//
// A server that does not respond costs each landing the tracker's timeout of 250
// ms. [clickid.NewFallbackStore] then keeps the click in the visitor's cookie.
// While a server refuses connections, a client with default options retries for
// as long. To fail immediately and report the cause, set MaxRetries: -1,
// DialerRetries: 1 and DialerRetryTimeout: time.Millisecond.
//
// # Memory and persistence
//
// With the maxmemory policy noeviction, a full server refuses new clicks; with
// volatile-ttl, it evicts the records that expire first; other policies can
// evict any record. Records that Redis has not written to disk are lost when it
// restarts. A replica that takes over may lack the latest commands: clicks and links
// are then lost, and erased ones are there again. Repeat the erasures of that time
// with [clickid.Tracker.ForgetToken].
//
// # Permissions
//
// [Permissions] are the rules for a Redis user that only the store uses.
package redisstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/clickid/clickid/internal/redisclient"
	"github.com/clickid/clickid/internal/reference"
	"github.com/redis/go-redis/v9"
)

// DefaultPrefix is the default of [Config.Prefix].
const DefaultPrefix = "clickid:"

// Permissions are the rules for ACL SETUSER that a Redis user needs for a store
// with the default prefix. For another prefix, replace the key pattern.
const Permissions = "~" + DefaultPrefix + "* +get +set +del +zadd +zrange +zrevrange +zremrangebyscore +zscore +zrem +pexpire +eval +evalsha"

// Config configures a [Store]. Later changes have no effect.
type Config struct {
	// Client connects to Redis, such as one of redis.NewClient,
	// NewFailoverClient, NewClusterClient or NewUniversalClient. Set
	// ContextTimeoutEnabled in its options: without it, the client waits
	// seconds for a server that does not respond, and [New] refuses it.
	//
	// New also refuses clients for which a missing record proves nothing. A
	// Ring looks on another server while one is unavailable. A cluster client
	// that reads from replicas (ReadOnly, RouteByLatency, RouteRandomly) may ask
	// one that lags behind. Do not set ReplicaOnly in a failover client, where
	// New cannot see it. The store does not close the client. Required.
	Client redis.UniversalClient
	// Prefix begins all keys. It must not contain braces, since these decide
	// where a cluster keeps a key. Change it when several shops share a server.
	// Defaults to [DefaultPrefix].
	Prefix string
}

// Store is a [clickid.Store], a [clickid.Linker] and a [clickid.TokenChecker] in
// Redis. It is safe for concurrent use, opens no connection of its own and
// starts no goroutine.
//
// The names of its records contain hashes of tokens and keys, and no record
// contains a token or a key in plain text. Click IDs are stored in plain text.
// No command uses two slots of a cluster.
type Store struct {
	client redis.UniversalClient
	prefix string
}

var (
	_ clickid.Store        = (*Store)(nil)
	_ clickid.Linker       = (*Store)(nil)
	_ clickid.TokenChecker = (*Store)(nil)
)

// New returns a store, or an error that lists every problem of cfg. It does not
// connect to the server; call Ping on the client to check that it is reachable.
func New(cfg Config) (*Store, error) {
	s := &Store{client: cfg.Client, prefix: cfg.Prefix}
	if s.prefix == "" {
		s.prefix = DefaultPrefix
	}
	var problems []error
	if strings.ContainsAny(s.prefix, "{}") {
		problems = append(problems, errors.New("redisstore: Config.Prefix must not contain braces: they decide where a cluster keeps a key"))
	}
	if err := redisclient.Check(s.client); err != nil {
		problems = append(problems, fmt.Errorf("redisstore: Config.Client %w", err))
	}
	if err := checkAbsence(s.client); err != nil {
		problems = append(problems, fmt.Errorf("redisstore: Config.Client %w", err))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return s, nil
}

// checkAbsence returns why a missing record proves nothing with a client.
func checkAbsence(client redis.UniversalClient) error {
	switch client := client.(type) {
	case *redis.Ring:
		return errors.New("is a Ring, which looks for a click on another server while one is unavailable, so that a missing click proves nothing: use a cluster, Sentinel or a single server")
	case *redis.ClusterClient:
		if client == nil {
			return nil
		}
		if o := client.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errors.New("reads from replicas, which may not have a new click yet, so that a missing click proves nothing: leave out ReadOnly, RouteByLatency and RouteRandomly")
		}
	}
	return nil
}

// hideArguments removes the command's arguments from an error of the server,
// which repeats them for a command that it does not know.
func hideArguments(err error) error {
	if text, _, found := strings.Cut(err.Error(), ", with args beginning with:"); found {
		return errors.New(text)
	}
	return err
}

// Save stores a click in one command and returns its token, which is random and
// does not contain the click. The error matches [clickid.ErrInvalid] when the
// click is invalid or has expired.
func (s *Store) Save(ctx context.Context, c clickid.Click) (string, error) {
	now := time.Now()
	if err := extension.CheckSave(c, now); err != nil {
		return "", err
	}
	value, err := c.MarshalBinary()
	if err != nil {
		return "", err
	}
	token, err := reference.New(now)
	if err != nil {
		return "", err
	}
	if err := s.client.Set(ctx, s.clickKey(tokenHash(token)), value, c.Expires.Sub(now)).Err(); err != nil {
		return "", fmt.Errorf("redisstore: saving the click: %w", hideArguments(err))
	}
	return token, nil
}

// Load returns the click of a token in one command, with times in whole seconds
// and UTC. The error matches [clickid.ErrNotFound] when the click is unknown,
// deleted or expired, and [clickid.ErrInvalid] when the token is malformed.
func (s *Store) Load(ctx context.Context, token string) (clickid.Click, error) {
	if err := s.CheckToken(token); err != nil {
		return clickid.Click{}, err
	}
	value, err := s.client.Get(ctx, s.clickKey(tokenHash(token))).Bytes()
	if errors.Is(err, redis.Nil) {
		return clickid.Click{}, clickid.ErrNotFound
	}
	if err != nil {
		return clickid.Click{}, fmt.Errorf("redisstore: loading the click: %w", hideArguments(err))
	}
	var c clickid.Click
	if err := c.UnmarshalBinary(value); err != nil {
		// %v, since the token is valid: the error must not match ErrInvalid.
		return clickid.Click{}, fmt.Errorf("redisstore: loading the click: %v", err)
	}
	// Clicks have whole seconds, and the server's clock may differ.
	if !c.Expires.After(time.Now()) {
		return clickid.Click{}, fmt.Errorf("%w: the click has expired", clickid.ErrNotFound)
	}
	return c, nil
}

// Delete deletes the click of a token and all links to it. Unknown, expired and
// malformed tokens are not an error.
func (s *Store) Delete(ctx context.Context, token string) error {
	hash := tokenHash(token)
	if err := s.forget(ctx, hash, s.linksKey(hash), s.clickKey(hash)); err != nil {
		return fmt.Errorf("redisstore: deleting the click: %w", hideArguments(err))
	}
	return nil
}

// CheckToken returns an error that matches [clickid.ErrInvalid] when the token
// does not have the form of this store's tokens. It does not call the server.
func (s *Store) CheckToken(token string) error {
	if !reference.Valid(token) {
		return fmt.Errorf("%w: malformed token", clickid.ErrInvalid)
	}
	return nil
}

// clickKey names the record of a click. The braces put it in the same slot of a
// cluster as the set of its links.
func (s *Store) clickKey(tokenHash string) string {
	return s.prefix + "click:{" + spell(tokenHash) + "}"
}

// linksKey names the set of the keys that are linked to a token.
func (s *Store) linksKey(tokenHash string) string {
	return s.prefix + "links:{" + spell(tokenHash) + "}"
}

// linkKey names the record of a link.
func (s *Store) linkKey(keyHash string) string { return s.prefix + "link:" + spell(keyHash) }

// tokenHash returns the hash that stands for a token in the records.
func tokenHash(token string) string {
	hash := reference.Hash(token)
	return string(hash[:])
}

// spell encodes a hash in printable characters.
func spell(hash string) string { return base64.RawURLEncoding.EncodeToString([]byte(hash)) }
