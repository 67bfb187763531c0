// Package extending passes functions of the root package to the package
// extension, so that only authors of stores, linkers and adapters see them.
package extending

import (
	"net/http"
	"time"
)

// ContextKey is the key of the visitor's click in a context.
const ContextKey = "github.com/clickid/clickid"

// The root package sets these when it is initialised. The type of a click is
// clickid.Click and that of a key is clickid.Key; importing them would be a
// cycle.
var (
	CheckSave func(click any, now time.Time) error
	CheckLink func(key any, token string, expires, now time.Time) error
	KeyHash   func(key any) [32]byte
	Seal      func(key any, token string) ([]byte, error)
	Open      func(key any, sealed []byte) (string, error)
	Concerns  func(tracker any, r *http.Request) bool
)
