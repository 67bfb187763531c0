package testserver

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLink puts the link before an echo server, which reports each text.
func TestLink(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	got := make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				forward(conn, conn, func(sent []byte) bool { got <- string(sent); return true })
			}()
		}
	}()
	link := NewLink(t, "user@tcp("+listener.Addr().String()+")/db")
	address := strings.TrimSuffix(strings.TrimPrefix(link.DSN(), "user@tcp("), ")/db")
	require.NotEqual(t, listener.Addr().String(), address)
	send := func(text string) error {
		return probe(address, func(c net.Conn) error {
			if err := c.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
				return err
			}
			return expect(c, text, text)
		})
	}
	require.NoError(t, send("hello"))
	require.Equal(t, "hello", <-got)

	cut := link.CutBefore("commit")
	require.NoError(t, send("begin"))
	require.Equal(t, "begin", <-got)
	isCut(t, send("COMMIT"))
	cut()
	require.NoError(t, send("commit"))
	require.Equal(t, "commit", <-got)

	cut = link.CutAfter("commit")
	isCut(t, send("commit"))
	cut()
	require.Equal(t, "commit", <-got)

	release := link.Hold()
	require.ErrorContains(t, send("slow"), "timeout")
	require.Equal(t, "slow", <-got)
	release()
	release()
	require.NoError(t, send("fast"))
	require.Equal(t, "fast", <-got)
	held, release := link.HoldAfter("commit")
	require.NoError(t, send("begin"))
	require.ErrorContains(t, send("commit"), "timeout")
	held()
	release()
	require.NoError(t, send("commit"))

	for dsn, server := range map[string]string{
		"redis://127.0.0.1:6379/0":                       "127.0.0.1:6379",
		"postgres://u:p@127.0.0.1:5432/x?sslmode=prefer": "127.0.0.1:5432",
	} {
		require.Equal(t, server, NewLink(t, dsn).server)
	}
}

func isCut(t *testing.T, err error) {
	t.Helper()
	var network *net.OpError
	require.True(t, errors.Is(err, io.EOF) || errors.As(err, &network) && !network.Timeout(), "%v", err)
}
