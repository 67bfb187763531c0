package testserver

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports of FreePort. The system gives higher ones to clients and to listeners
// that ask for any port, so none of them takes a port while its server is stopped.
const (
	firstPort = 10_000
	ports     = 10_000
	// busOffset is the distance of a cluster node's second port.
	busOffset = 10_000
)

// FreePort returns a port of 127.0.0.1 on which nothing listens. No other test
// gets it before this one ends.
func FreePort(tb testing.TB) int {
	tb.Helper()
	return freePorts(tb, 0)
}

// freeNodePort returns a free port whose cluster bus port is also free.
func freeNodePort(tb testing.TB) int {
	tb.Helper()
	return freePorts(tb, 0, busOffset)
}

// freePorts returns a port that is free at all offsets.
func freePorts(tb testing.TB, offsets ...int) int {
	tb.Helper()
next:
	for range 1000 {
		port := firstPort + rand.N(ports)
		var held []net.PacketConn
		release := func() {
			for _, conn := range held {
				_ = conn.Close()
			}
		}
		for _, offset := range offsets {
			conn, ok := reserve(port + offset)
			if !ok {
				release()
				continue next
			}
			held = append(held, conn)
		}
		tb.Cleanup(release)
		return port
	}
	tb.Fatal("found no free port")
	return 0
}

// reserve reserves a TCP port if it is free. The reservation is the UDP port of
// the same number, which the system releases with the process at the latest.
func reserve(port int) (_ net.PacketConn, ok bool) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	held, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, false
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		_ = held.Close()
		return nil, false
	}
	_ = l.Close()
	return held, true
}
