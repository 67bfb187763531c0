package testserver

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Link is the network between a test and a server that others may use: a TCP proxy
// that a test delays or cuts. It is safe for concurrent use.
type Link struct {
	tb     testing.TB
	dsn    string
	server string

	mu   sync.Mutex
	held chan struct{} // closed by release; nil if responses pass
	at   *linkFault
	open map[net.Conn]bool
	over bool
}

// linkFault is a fault that begins when a client sends a text.
type linkFault struct {
	text  []byte
	kind  linkFaultKind
	begun chan struct{}
}

type linkFaultKind int

const (
	cutBefore linkFaultKind = iota
	cutAfter
	holdAfter
)

// NewLink returns a link to the server of a data source name, as the functions and
// servers of this package return it. Its connections are not encrypted.
func NewLink(tb testing.TB, dsn string) *Link {
	tb.Helper()
	server := ""
	if _, after, ok := strings.Cut(dsn, "tcp("); ok {
		server, _, _ = strings.Cut(after, ")")
	} else if u, err := url.Parse(dsn); err == nil {
		server = u.Host
		if u.Scheme == "postgres" { // which encrypts if it can
			query := u.Query()
			query.Set("sslmode", "disable")
			u.RawQuery = query.Encode()
			dsn = u.String()
		}
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		tb.Fatalf("the data source name has no address with a port: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l := &Link{tb: tb, dsn: strings.Replace(dsn, server, listener.Addr().String(), 1), server: server, open: make(map[net.Conn]bool)}
	tb.Cleanup(func() {
		_ = listener.Close()
		l.close()
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(client)
		}
	}()
	return l
}

// DSN returns the data source name of the server behind the link.
func (l *Link) DSN() string { return l.dsn }

// Hold withholds everything that the server sends, as if it were slow, until the
// test calls release. A second call of release has no effect.
func (l *Link) Hold() (release func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold()
	return l.release
}

// HoldAfter is [Link.Hold] from the moment at which a client has sent a text, such
// as "commit". The case of the text does not matter. await waits for the moment.
func (l *Link) HoldAfter(text string) (await, release func()) {
	return l.begin(text, holdAfter), l.release
}

// CutBefore cuts the connection on which a client sends a text next, before the
// server gets it. await waits for that.
func (l *Link) CutBefore(text string) (await func()) { return l.begin(text, cutBefore) }

// CutAfter is [Link.CutBefore] when the server has responded, and before its
// response arrives.
func (l *Link) CutAfter(text string) (await func()) { return l.begin(text, cutAfter) }

// Cut cuts all connections.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		_ = conn.Close()
	}
}

func (l *Link) begin(text string, kind linkFaultKind) (await func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &linkFault{bytes.ToLower([]byte(text)), kind, make(chan struct{})}
	l.at = f
	return func() {
		l.tb.Helper()
		select {
		case <-f.begun:
		case <-time.After(startTimeout):
			l.tb.Fatalf("no client has sent %q", text)
		}
	}
}

// take returns the fault that begins with these bytes, or nil.
func (l *Link) take(sent []byte) *linkFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.at
	if f == nil || !bytes.Contains(bytes.ToLower(sent), f.text) {
		return nil
	}
	l.at = nil
	if f.kind == holdAfter {
		l.hold()
		close(f.begun)
	}
	return f
}

// hold requires mu.
func (l *Link) hold() {
	if l.held == nil {
		l.held = make(chan struct{})
	}
}

func (l *Link) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		close(l.held)
		l.held = nil
	}
}

// serve connects a client to the server until one of them leaves or the test ends.
func (l *Link) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	if !l.add(client, server) {
		return
	}
	defer l.remove(client, server)

	var cut atomic.Pointer[linkFault] // at the next response
	ends := func(f *linkFault) {
		_, _ = client.Close(), server.Close()
		close(f.begun)
	}
	go func() {
		defer func() { _, _ = client.Close(), server.Close() }()
		forward(server, client, func(sent []byte) bool {
			f := l.take(sent)
			switch {
			case f == nil || f.kind == holdAfter:
			case f.kind == cutBefore:
				ends(f)
				return false
			default:
				cut.Store(f)
			}
			return true
		})
	}()
	forward(client, server, func([]byte) bool {
		l.mu.Lock()
		held := l.held
		l.mu.Unlock()
		if held != nil {
			<-held
		}
		f := cut.Load()
		if f != nil {
			ends(f)
		}
		return f == nil
	})
}

// forward copies until one of both ends, or until pass returns false.
func forward(to io.Writer, from io.Reader, pass func(sent []byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !pass(buffer[:n]) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// add remembers connections for the end of the test, and reports whether it is yet
// to come.
func (l *Link) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		l.open[conn] = true
	}
	return !l.over
}

func (l *Link) remove(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		delete(l.open, conn)
	}
}

// close ends everything at the end of the test.
func (l *Link) close() {
	l.release()
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.Cut()
}
