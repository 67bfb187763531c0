// Package origin reads the host, the transport and the origin of requests.
package origin

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Transport is the encryption of the browser's connection.
type Transport int

// The transports. That of a proxy without evidence is unknown.
const (
	Unknown Transport = iota
	Secure
	Plain
)

// TransportOf returns the transport of a request. Browsers only send Sec-Fetch
// headers to trustworthy origins, which include loopback addresses. A proxy
// that terminates TLS may forward the protocol. If it forwards http for a loopback
// address, the transport is unknown: nginx sends the address of its upstream as the
// host by default.
func TransportOf(r *http.Request) Transport {
	h := r.Header
	if r.TLS != nil || First(h, "Sec-Fetch-Site") != "" || First(h, "Sec-Fetch-Mode") != "" ||
		First(h, "Sec-Fetch-Dest") != "" {
		return Secure
	}
	protocol, loopback := forwardedProtocol(h), Loopback(Hostname(r.Host))
	switch {
	case protocol == "https", protocol != "http" && loopback:
		return Secure
	case protocol == "http" && !loopback:
		return Plain
	}
	return Unknown
}

// forwardedProtocol returns the protocol of the outermost proxy in lower case,
// or "".
func forwardedProtocol(h http.Header) string {
	if proto := First(h, "X-Forwarded-Proto"); proto != "" {
		proto, _, _ = strings.Cut(proto, ",")
		return strings.ToLower(strings.TrimSpace(proto))
	}
	element, _, _ := strings.Cut(First(h, "Forwarded"), ",")
	for pair := range strings.SplitSeq(element, ";") {
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(name), "proto") {
			return strings.ToLower(strings.Trim(value, "\" "))
		}
	}
	return ""
}

// First returns the first value of a header. name must be in canonical form.
func First(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Hostname returns the host of a Host header or URL without its port, in lower
// case.
func Hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// Covers reports whether a cookie of the domain is sent to host.
func Covers(domain, host string) bool {
	prefix, ok := strings.CutSuffix(host, domain)
	return ok && (prefix == "" || strings.HasSuffix(prefix, "."))
}

// Loopback reports whether browsers trust host without TLS.
func Loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if host == "" || host[0] != '1' && host[0] != ':' {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// SameReferer reports whether the Referer of r is of the same origin.
// Sec-Fetch-Site decides if the browser sends it, since a proxy may change the
// host. Otherwise the hosts are compared, but not the schemes: behind a proxy
// that terminates TLS the scheme is unknown.
func SameReferer(referer string, r *http.Request) bool {
	if site := First(r.Header, "Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	u, err := url.Parse(referer)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// FromOwnSite reports whether the visitor comes from a page of the site, so
// that the request is not a landing.
func FromOwnSite(r *http.Request) bool {
	switch First(r.Header, "Sec-Fetch-Site") {
	case "same-origin", "same-site":
		return true
	}
	referer := First(r.Header, "Referer")
	return referer != "" && SameReferer(referer, r)
}
