package networktest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
)

// Fault is a fault between the client and the platform. docs/reliability.md has
// a row for each.
type Fault struct {
	// Name describes the fault, as in the documentation.
	Name string
	// Cause is a part of the error's text.
	Cause string
	// Kind is the kind of the error.
	Kind clickid.SendErrorKind
	// Hangs means that only the timeout ends a request.
	Hangs bool

	// route prepares the fault and returns the way to it.
	route func(testing.TB, *Network) func(context.Context) (net.Conn, error)
}

// Faults returns the faults.
func Faults() []Fault {
	const temporary, configuration = clickid.SendErrorTemporary, clickid.SendErrorConfiguration
	fault := func(name, cause string, route func(testing.TB, *Network) func(context.Context) (net.Conn, error)) Fault {
		return Fault{Name: name, Cause: cause, Kind: temporary, route: route}
	}
	wrong := func(f Fault) Fault { f.Kind = configuration; return f }
	hangs := func(f Fault) Fault { f.Hangs = true; return f }
	return []Fault{
		fault("a certificate that has expired", "the certificate is not trusted", certificate(func(t testing.TB, a *authority) tls.Certificate { return a.issue(t, Host, -time.Hour) })),
		fault("a certificate of another host", "the certificate is not trusted", certificate(func(t testing.TB, a *authority) tls.Certificate { return a.issue(t, "other.test", time.Hour) })),
		fault("a self-signed certificate", "the certificate is not trusted", certificate(func(t testing.TB, _ *authority) tls.Certificate { return issue(t, nil, Host, time.Hour) })),
		fault("plain HTTP on the port of TLS", "the TLS handshake failed", raw(func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		})),
		hangs(fault("a TLS handshake that hangs", "timeout", raw(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))),
		fault("a connection that is closed at once", "connection cut", raw(func(c net.Conn) { _ = c.Close() })),
		fault("a connection that is reset", "connection cut", raw(reset)),

		fault("a host name that does not exist", "the host name cannot be resolved", resolver(true)),
		hangs(fault("a DNS server that does not respond", "", resolver(false))),

		wrong(fault("a redirect to another host", "status 307", respond(http.StatusTemporaryRedirect, "", "Location", "https://elsewhere.test/"))),
		wrong(fault("HTML with status 200", "it is HTML", respond(200, "<!doctype html><title>Welcome to the hotel</title>"))),
		wrong(fault("a body of 10 MB", "it is larger than 8 MiB", respond(200, `{"events_received":1,"note":"`+strings.Repeat("x", 10<<20)+`"}`))),
		wrong(fault("an endless body", "it is larger than 8 MiB", handle(func(w http.ResponseWriter, r *http.Request) {
			endless(w, `{"events_received":1,"note":"`, bytes.Repeat([]byte("x"), 64<<10))
		}))),
		fault("an endless body with status 503", "status 503", handle(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			endless(w, "", bytes.Repeat([]byte("x"), 64<<10))
		})),
		wrong(fault("a gzip bomb of 1 GB", "it is larger than 8 MiB", handle(bomb))),
		fault("gzip that is not gzip", "", respond(200, `{"events_received":1}`, "Content-Encoding", "gzip")),
		fault("endless headers", "", handle(func(w http.ResponseWriter, r *http.Request) {
			for i := range 200 {
				w.Header().Add(fmt.Sprintf("X-Padding-%d", i), strings.Repeat("x", 100<<10))
			}
		})),
		hangs(fault("headers that do not end", "timeout", slow("HTTP/1.1 200 OK\r\nX: "))),
		hangs(fault("a body of one byte in a while", "timeout", slow("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"))),
		hangs(fault("a refusal whose body does not end", "status 503", slow("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100000\r\n\r\n<"))),
		fault("an unrequested switch to another protocol", "switched to another protocol", slow("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")),
		fault("a response that is not HTTP", "", slow("220 mail.test ESMTP\r\n")),
		wrong(fault("a body that is invalid UTF-8", "it is not a JSON object", respond(200, "\xff\xfe{\x00\"\x00"))),
	}
}

// certificate serves the platform with another certificate.
func certificate(issue func(testing.TB, *authority) tls.Certificate) func(testing.TB, *Network) func(context.Context) (net.Conn, error) {
	return func(t testing.TB, n *Network) func(context.Context) (net.Conn, error) {
		return to(n.serve(t, issue(t, n.authority), n.Platform))
	}
}

// handle responds in the platform's place.
func handle(handler http.HandlerFunc) func(testing.TB, *Network) func(context.Context) (net.Conn, error) {
	return func(t testing.TB, n *Network) func(context.Context) (net.Conn, error) {
		return to(n.serve(t, n.authority.issue(t, Host, time.Hour), handler))
	}
}

// respond sends a response. A header has a name and a value.
func respond(status int, body string, header ...string) func(testing.TB, *Network) func(context.Context) (net.Conn, error) {
	return handle(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// raw serves TCP connections.
func raw(serve func(net.Conn)) func(testing.TB, *Network) func(context.Context) (net.Conn, error) {
	return func(t testing.TB, _ *Network) func(context.Context) (net.Conn, error) { return to(accept(t, serve)) }
}

// slow sends the beginning of a response over HTTP/1.1, and then a byte every
// 20 milliseconds until the client leaves.
func slow(beginning string) func(testing.TB, *Network) func(context.Context) (net.Conn, error) {
	return func(t testing.TB, n *Network) func(context.Context) (net.Conn, error) {
		cfg := &tls.Config{Certificates: []tls.Certificate{n.authority.issue(t, Host, time.Hour)}, NextProtos: []string{"http/1.1"}}
		return to(accept(t, func(c net.Conn) {
			conn := tls.Server(c, cfg)
			defer func() { _ = conn.Close() }()
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			_, err := io.WriteString(conn, beginning)
			for ; err == nil; _, err = io.WriteString(conn, "x") {
				time.Sleep(20 * time.Millisecond)
			}
		}))
	}
}

func reset(c net.Conn) {
	_, _ = c.Read(make([]byte, 1))
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// endless writes until the client leaves.
func endless(w io.Writer, beginning string, chunk []byte) {
	_, err := io.WriteString(w, beginning)
	for err == nil {
		_, err = w.Write(chunk)
	}
}

func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	// A megabyte is compressed once and repeated, as members of one file.
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 1<<20))
	_ = z.Close()
	for range 1 << 10 {
		if _, err := w.Write(member.Bytes()); err != nil {
			return
		}
	}
}

// resolver asks a DNS server that knows no name, or that does not respond.
func resolver(responds bool) func(testing.TB, *Network) func(context.Context) (net.Conn, error) {
	return func(t testing.TB, _ *Network) func(context.Context) (net.Conn, error) {
		server, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		go func() {
			query := make([]byte, 512)
			for {
				n, from, err := server.ReadFrom(query)
				if err != nil {
					return
				}
				if responds && n > 3 {
					query[2], query[3] = 0x81, 0x83 // a response: NXDOMAIN (RFC 1035, section 4.1.1)
					_, _ = server.WriteTo(query[:n], from)
				}
			}
		}()
		dialer := &net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
		}}}
		return func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", Host+":443") }
	}
}

// quiet discards the servers' complaints about clients that leave.
var quiet = log.New(io.Discard, "", 0)
