package extension_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
)

// links is the part of a linker that links and finds; the storetest package
// checks a complete one.
type links struct {
	mu     sync.Mutex
	sealed map[[32]byte]link
}

type link struct {
	token   []byte
	expires time.Time
}

func (l *links) Link(_ context.Context, k clickid.Key, token string, expires time.Time) error {
	if err := extension.CheckLink(k, token, expires, time.Now()); err != nil {
		return err
	}
	sealed, err := extension.Seal(k, token)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed[extension.KeyHash(k)] = link{sealed, expires}
	return nil
}

func (l *links) Linked(_ context.Context, k clickid.Key) (string, error) {
	if err := k.Validate(); err != nil {
		return "", err
	}
	l.mu.Lock()
	found, ok := l.sealed[extension.KeyHash(k)]
	l.mu.Unlock()
	if !ok || !time.Now().Before(found.expires) {
		return "", clickid.ErrNotFound
	}
	return extension.Open(k, found.token)
}

// A linker keeps a hash of the key and an encrypted token.
func Example() {
	ctx := context.Background()
	linker := &links{sealed: map[[32]byte]link{}}
	token, err := extension.NewToken(time.Now())
	if err != nil {
		log.Fatal(err)
	}
	order := clickid.OrderKey("1001")
	if err := linker.Link(ctx, order, token, time.Now().Add(time.Hour)); err != nil {
		log.Fatal(err)
	}
	found, err := linker.Linked(ctx, order)
	fmt.Println(found == token, err)
	// Output: true <nil>
}
