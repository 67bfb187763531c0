// Package redisclient checks go-redis clients. It reads their options by
// reflection, so that the root module does not require go-redis.
package redisclient

import (
	"errors"
	"reflect"

	"github.com/clickid/clickid/internal/nilcheck"
)

// Check returns an error when client is nil, or a nil pointer in an interface,
// or a go-redis client that ignores the deadlines of contexts. Clients without
// options, such as wrappers, are trusted. The error's text continues the name
// of the field.
func Check(client any) error {
	if nilcheck.IsNil(client) {
		return errors.New("is required: pass a client of go-redis, such as one of redis.NewClient")
	}
	if option(client, "ContextTimeoutEnabled") == (optional{known: true}) {
		return errors.New("ignores the deadlines of contexts, so a server that does not respond would hold up requests for seconds: set ContextTimeoutEnabled in its options")
	}
	return nil
}

// optional is an option that is set, or not set, or not known.
type optional struct{ set, known bool }

// option reads a field of what the client's method Options returns.
func option(client any, name string) optional {
	method := reflect.ValueOf(client).MethodByName("Options")
	if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 {
		return optional{}
	}
	options := reflect.Indirect(method.Call(nil)[0])
	if options.Kind() != reflect.Struct {
		return optional{}
	}
	field := options.FieldByName(name)
	if field.Kind() != reflect.Bool {
		return optional{}
	}
	return optional{set: field.Bool(), known: true}
}
