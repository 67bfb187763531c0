package clickid

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/origin"
	"golang.org/x/net/publicsuffix"
)

// Cookie configures the cookie with the token. Its attributes are fixed: Secure,
// HttpOnly, SameSite=Lax, Path=/, and the lifetime of the click as Max-Age.
type Cookie struct {
	// Name is the name of the cookie without prefix. The prefix is "__Host-",
	// "__Secure-" with Domain, and empty with Insecure (RFC 6265bis, section
	// 4.1.3). Defaults to "clkid".
	Name string
	// Domain shares the cookie between the subdomains of a registrable domain,
	// such as "example.com" for www.example.com and pay.example.com; see
	// [SharedDomain]. A public suffix is refused. By default the cookie belongs
	// to the exact host.
	Domain string
	// Insecure removes the attribute Secure and the prefix, for development on
	// plain HTTP. Browsers other than Safari also accept secure cookies from
	// http://localhost.
	Insecure bool
}

const (
	defaultCookieName = "clkid"
	// maxCookieSize limits name and value together (RFC 6265bis, section 5.6).
	maxCookieSize = 4096
	// maxCookies limits the number of cookies that are read. Browsers send only
	// a few of the name.
	maxCookies = 64
)

// SharedDomain returns the registrable domain of a host for [Cookie].Domain:
// "example.co.uk" for "www.example.co.uk" or "www.example.co.uk:8443". It
// returns an error for IP addresses, public suffixes and single labels such as
// "localhost".
func SharedDomain(host string) (string, error) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if origin.IsIP(host) {
		return "", errors.New("clickid: an IP address has no domain to share a cookie on")
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return "", fmt.Errorf("clickid: host has no registrable domain: %w", err)
	}
	return domain, nil
}

// cookieJar reads and writes the cookie of a tracker.
type cookieJar struct {
	name       string // with prefix
	assign     string // the name and "="
	domain     string
	insecure   bool
	attributes string // with the lifetime
	expired    string // the line that deletes the cookie
}

// newCookieJar returns the jar and all problems of c.
func newCookieJar(c Cookie, lifetime time.Duration) (cookieJar, []error) {
	var problems []error
	problem := func(text string) { problems = append(problems, errors.New("clickid: "+text)) }

	name := c.Name
	if name == "" {
		name = defaultCookieName
	}
	switch {
	case !isCookieName(name):
		problem("Cookie.Name must consist of the characters of an HTTP token (RFC 9110, section 5.6.2)")
	case strings.HasPrefix(name, "__"):
		problem("Cookie.Name must be given without the prefix __Host- or __Secure-, which is added")
	case len(name)+len("__Secure-")+MaxTokenLength > maxCookieSize:
		problem(fmt.Sprintf("Cookie.Name is too long: browsers drop cookies of more than %d bytes", maxCookieSize))
	}
	if c.Domain != "" {
		if text := origin.DomainProblem(c.Domain); text != "" {
			problem("Cookie.Domain " + text)
		}
	}

	jar := cookieJar{name: name, domain: c.Domain, insecure: c.Insecure}
	attributes := "; HttpOnly; SameSite=Lax"
	if !c.Insecure {
		attributes = "; HttpOnly; Secure; SameSite=Lax"
		if c.Domain == "" {
			jar.name = "__Host-" + name
		} else {
			jar.name = "__Secure-" + name
		}
	}
	if c.Domain != "" {
		attributes = "; Domain=" + c.Domain + attributes
	}
	jar.assign = jar.name + "="
	jar.attributes = fmt.Sprintf("; Path=/; Max-Age=%d%s", lifetime/time.Second, attributes)
	jar.expired = jar.assign + "; Path=/; Max-Age=0" + attributes
	return jar, problems
}

func isCookieName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// set sets the cookie in the response and replaces an earlier Set-Cookie of it.
func (j *cookieJar) set(h http.Header, value string) { j.replace(h, j.assign+value+j.attributes) }

// expire deletes the cookie in the browser.
func (j *cookieJar) expire(h http.Header) { j.replace(h, j.expired) }

func (j *cookieJar) replace(h http.Header, line string) {
	kept := make([]string, 0, len(h["Set-Cookie"])+1)
	for _, other := range h["Set-Cookie"] {
		if !strings.HasPrefix(other, j.assign) {
			kept = append(kept, other)
		}
	}
	h["Set-Cookie"] = append(kept, line)
}

// isSet reports whether Set-Cookie lines set or delete the cookie.
func (j *cookieJar) isSet(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, j.assign) })
}

// present reports whether the Cookie headers contain the cookie.
func (j *cookieJar) present(lines []string) bool {
	for _, line := range lines {
		if _, _, ok := j.next(line); ok {
			return true
		}
	}
	return false
}

// contains reports whether ok is true for one of the cookies.
func (j *cookieJar) contains(lines []string, ok func(value string) bool) bool {
	for value := range j.values(lines) {
		if ok(value) {
			return true
		}
	}
	return false
}

// values yields the values of the first cookies of the name, without
// verification. A browser sends several if one was set for a parent domain or
// by a subdomain.
func (j *cookieJar) values(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		count := 0
		for _, line := range lines {
			for {
				value, rest, ok := j.next(line)
				if !ok {
					break
				}
				if count++; count > maxCookies || !yield(value) {
					return
				}
				line = rest
			}
		}
	}
}

// next returns the value of the first cookie of the name in a Cookie header,
// and the rest of the header.
func (j *cookieJar) next(line string) (value, rest string, ok bool) {
	for start := 0; ; {
		i := strings.Index(line[start:], j.assign)
		if i < 0 {
			return "", "", false
		}
		i += start
		start = i + len(j.assign)
		if before := strings.TrimRight(line[:i], " \t"); before == "" || before[len(before)-1] == ';' {
			value, rest, _ = strings.Cut(line[start:], ";")
			return strings.TrimRight(value, " \t"), rest, true
		}
	}
}
