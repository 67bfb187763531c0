package redisstore_test

import (
	"crypto/rand"
	"log"
	"log/slog"
	"net/http"

	"github.com/clickid/clickid"
	redisstore "github.com/clickid/clickid/store_redis"
	"github.com/redis/go-redis/v9"
)

// The tracker stores clicks in Redis. The visitor's cookie holds a random token.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	store, err := redisstore.New(redisstore.Config{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	log.Fatal(http.ListenAndServe(":8080", tracker.Handler(mux)))
}

// The visitor's signed cookie keeps the click, and Redis keeps the links to the
// application's orders, customers and sessions. Page views and landings send no
// command to Redis.
func Example_linksOnly() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	links, err := redisstore.New(redisstore.Config{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	clicks, err := clickid.NewCookieStore(cookieKey())
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: clicks, Linker: links})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /checkout", func(w http.ResponseWriter, r *http.Request) {
		// The payment's webhook finds the click with tracker.Linked.
		if err := tracker.Link(r.Context(), clickid.OrderKey("order-42")); err != nil {
			slog.Warn("the order is not attributed", "error", err)
		}
	})
	_ = tracker.Handler(mux) // serve this
	// Output:
}

// The client of a cluster, and a prefix for one of several shops.
func Example_cluster() {
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: []string{"redis-1:6379", "redis-2:6379", "redis-3:6379"}, ContextTimeoutEnabled: true,
	})
	store, err := redisstore.New(redisstore.Config{Client: client, Prefix: "shop:clickid:"})
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		log.Fatal(err)
	}
	_ = tracker.Handler(http.NotFoundHandler()) // serve this
	// Output:
}

// While Redis is unavailable, the visitor's cookie keeps the click.
func Example_outage() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	primary, err := redisstore.New(redisstore.Config{Client: client})
	if err != nil {
		log.Fatal(err)
	}
	fallback, err := clickid.NewCookieStore(cookieKey())
	if err != nil {
		log.Fatal(err)
	}
	store, err := clickid.NewFallbackStore(primary, fallback)
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{Store: store})
	if err != nil {
		log.Fatal(err)
	}
	_ = tracker.Handler(http.NotFoundHandler()) // serve this
	// Output:
}

// cookieKey stands for a key that "clickid keygen" has printed and that the
// application reads from its environment or secret store.
func cookieKey() []byte {
	key := make([]byte, clickid.MinCookieKeyLength)
	if _, err := rand.Read(key); err != nil {
		log.Fatal(err)
	}
	return key
}
