package doctor

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// Limits of browsers (RFC 6265bis, section 5.6).
const (
	maxCookieSize    = 4096 // name and value
	maxAttributeSize = 1024
	maxLifetime      = 400 * 24 * time.Hour
)

// cookie is a Set-Cookie field as browsers read it.
type cookie struct {
	name, value      string
	domain, path     string // the attributes
	secure, httpOnly bool
	sameSite         string // in lower case, "" without the attribute
	lifetime         time.Duration
	persistent       bool   // has a lifetime
	malformed        string // why browsers ignore the field, or ""
}

// deletes reports whether the field deletes a cookie.
func (c cookie) deletes() bool { return c.persistent && c.lifetime <= 0 }

// parseCookie parses a Set-Cookie field.
func parseCookie(line string, now time.Time) (c cookie) {
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		c.malformed = "it contains control characters"
	}
	pair, rest, _ := strings.Cut(line, ";")
	name, value, ok := strings.Cut(pair, "=")
	if !ok {
		name, value = "", pair
	}
	c.name, c.value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
	if len(c.name)+len(c.value) > maxCookieSize {
		c.malformed = "it is longer than 4096 bytes"
	}
	maxAge := false
	for attribute := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(attribute, "=")
		value = strings.Trim(value, " \t")
		if len(value) > maxAttributeSize {
			continue
		}
		switch strings.ToLower(strings.Trim(key, " \t")) {
		case "secure":
			c.secure = true
		case "httponly":
			c.httpOnly = true
		case "samesite":
			c.sameSite = strings.ToLower(value)
		case "domain":
			c.domain = strings.ToLower(strings.TrimPrefix(value, "."))
		case "path":
			c.path = value
		case "max-age":
			if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
				maxAge, c.persistent = true, true
				c.lifetime = time.Duration(min(max(seconds, 0), int64(100*maxLifetime/time.Second))) * time.Second
			}
		case "expires":
			if at, ok := parseExpires(value); ok && !maxAge {
				c.persistent, c.lifetime = true, at.Sub(now)
			}
		}
	}
	return c
}

func parseExpires(s string) (time.Time, bool) {
	if at, err := http.ParseTime(s); err == nil {
		return at, true
	}
	at, err := time.Parse("Mon, 02-Jan-2006 15:04:05 MST", s)
	return at, err == nil
}

// refusal returns why browsers do not store a cookie of the response to u, or
// "".
func (c cookie) refusal(u *url.URL) string {
	host, name := hostname(u), strings.ToLower(c.name)
	switch {
	case c.malformed != "":
		return c.malformed
	case c.domain != "" && !covers(c.domain, host):
		return "Domain=" + c.domain + " does not cover the host " + host
	case c.domain != "" && c.domain != host && isPublicSuffix(c.domain):
		return "Domain=" + c.domain + " is a public suffix"
	case c.secure && !trustworthy(u):
		return "it is secure, and the page uses plain HTTP"
	case strings.HasPrefix(name, "__secure-") && !c.secure:
		return "the prefix __Secure- requires Secure"
	case strings.HasPrefix(name, "__host-") && (!c.secure || c.domain != "" || c.path != "/"):
		return "the prefix __Host- requires Secure, Path=/ and no Domain"
	case c.sameSite == "none" && !c.secure:
		return "SameSite=None requires Secure"
	}
	return ""
}

// describe returns the name and the attributes without the value.
func (c cookie) describe() string {
	parts := []string{c.name}
	if c.domain != "" {
		parts = append(parts, "Domain="+c.domain)
	}
	if c.path != "" {
		parts = append(parts, "Path="+c.path)
	}
	if c.persistent {
		parts = append(parts, "Max-Age="+strconv.FormatInt(int64(c.lifetime.Round(time.Second)/time.Second), 10))
	}
	if c.secure {
		parts = append(parts, "Secure")
	}
	if c.httpOnly {
		parts = append(parts, "HttpOnly")
	}
	if c.sameSite != "" {
		parts = append(parts, "SameSite="+c.sameSite)
	}
	return strings.Join(parts, "; ")
}

// hostname returns the host of u in lower case, without port and final dot.
func hostname(u *url.URL) string {
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}

// covers reports whether a cookie of the domain is sent to host.
func covers(domain, host string) bool {
	return domain == host || strings.HasSuffix(host, "."+domain) && !isIP(host)
}

func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

func isIP(host string) bool { return net.ParseIP(host) != nil }

// isLoopback reports whether u is on this machine.
func isLoopback(u *url.URL) bool {
	host := hostname(u)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
}

// trustworthy reports whether browsers treat u as encrypted.
func trustworthy(u *url.URL) bool { return u.Scheme == "https" || isLoopback(u) }

// sameSite reports whether two URLs belong to one site: scheme and registrable
// domain.
func sameSite(a, b *url.URL) bool { return a.Scheme == b.Scheme && site(a) == site(b) }

func site(u *url.URL) string {
	host := hostname(u)
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil && !isIP(host) {
		return domain
	}
	return host
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }
