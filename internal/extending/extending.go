// Package extending passes functions of the root package to the package
// extension, so that only authors of stores, linkers and adapters see them.
package extending

import "time"

// ContextKey is where a context keeps the visitor's click.
const ContextKey = "github.com/clickid/clickid"

// The root package sets these when it is initialised. A click is a
// clickid.Click and a key is a clickid.Key, which this package cannot name.
var (
	CheckSave func(click any, now time.Time) error
	CheckLink func(key any, token string, expires, now time.Time) error
	KeyHash   func(key any) [32]byte
	Seal      func(key any, token string) ([]byte, error)
	Open      func(key any, sealed []byte) (string, error)
)
