package redisclient_test

import (
	"testing"

	"github.com/clickid/clickid/internal/redisclient"
	"github.com/stretchr/testify/require"
)

// client has the shape of go-redis' clients.
type client struct{ options *options }

type options struct{ ContextTimeoutEnabled bool }

func (c *client) Options() *options { return c.options }

type wrapper struct{ any }

type otherOptions struct{}

func (otherOptions) Options(string) bool { return false }

type noFlag struct{}

func (noFlag) Options() struct{ Addr string } { return struct{ Addr string }{} }

func TestCheck(t *testing.T) {
	for _, row := range []struct {
		name    string
		client  any
		problem string // empty where the client is accepted
	}{
		{"nil", nil, "is required"},
		{"nil pointer in an interface", (*client)(nil), "is required"},
		{"keeps deadlines", &client{&options{ContextTimeoutEnabled: true}}, ""},
		{"ignores deadlines", &client{&options{}}, "set ContextTimeoutEnabled"},
		{"no options", &client{}, ""},
		{"wrapper", wrapper{&client{&options{}}}, ""},
		{"wrapper with the client's methods", struct{ *client }{&client{&options{}}}, "set ContextTimeoutEnabled"},
		{"another method of the name", otherOptions{}, ""},
		{"options without the flag", noFlag{}, ""},
	} {
		err := redisclient.Check(row.client)
		if row.problem == "" {
			require.NoError(t, err, row.name)
			continue
		}
		require.ErrorContains(t, err, row.problem, row.name)
	}
}
