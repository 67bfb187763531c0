package capi

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/clickid/clickid/internal/personaldata"
	"github.com/clickid/clickid/internal/punycode"
	"github.com/clickid/clickid/internal/text"
)

// sentURL returns the page's URL as it may be sent: in the form of RFC 3986,
// with its host in Punycode, without query and fragment unless keep is set, and
// without credentials. It is "" if nothing is left to send. warning names the
// parts that were left out by default.
func sentURL(raw string, keep bool) (sent, warning string) {
	if raw == "" {
		return "", ""
	}
	raw = strings.TrimSpace(raw)
	if path, ok := plainPath(raw); ok && personaldata.ProblemOfID(path) == "" {
		return raw, ""
	}
	u, err := url.Parse(escaped(raw, isNoPercent))
	if err != nil || text.HasControl(raw) {
		return "", problemURL
	}
	host, ok := sentHost(u)
	scheme := strings.ToLower(u.Scheme)
	if !ok || scheme != "http" && scheme != "https" {
		return "", problemURL
	}
	if personaldata.ProblemOfID(u.Path) != "" {
		return "", "page_url was left out: it holds personal data"
	}
	sent = scheme + "://" + host + escaped(u.EscapedPath(), isPath)
	if !keep {
		return sent, ""
	}
	rest := ""
	if u.RawQuery != "" {
		rest = "?" + escaped(u.RawQuery, isQuery)
	}
	if u.Fragment != "" {
		rest += "#" + escaped(u.EscapedFragment(), isQuery)
	}
	if personaldata.Problem(sent+rest) != "" || personaldata.Problem(decoded(u.RawQuery)) != "" || personaldata.Problem(u.Fragment) != "" ||
		namesPhone(u) {
		return sent, "the query of page_url was left out: it holds personal data"
	}
	return sent + rest, ""
}

// plainPathClasses are kinds of bytes that RFC 3986 allows in a path, without "&".
const plainPathClasses = text.Lower | text.Upper | text.Number | text.Underscore | text.Mark | text.At | text.Plus | text.PathMark

// plainPath returns the path of a URL in the form in which it is sent, which
// most pages have, without the cost of parsing it.
func plainPath(raw string) (path string, ok bool) {
	rest, secure := strings.CutPrefix(raw, "https://")
	if !secure {
		if rest, ok = strings.CutPrefix(raw, "http://"); !ok {
			return "", false
		}
	}
	host, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		host, path = rest[:slash], rest[slash:]
	}
	if host == "" || text.Classes(host)&^(text.Lower|text.Number|text.Underscore|text.Mark) != 0 {
		return "", false
	}
	return path, text.Classes(path)&^plainPathClasses == 0
}

const problemURL = "page_url was left out: it must be an absolute http or https URL"

// The characters that RFC 3986 allows in a path, and in a query or fragment.
func isPath(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0
}

func isQuery(c byte) bool { return isPath(c) || c == '?' }

func isNoPercent(c byte) bool { return c != '%' }

// escaped returns s with all characters percent-encoded that are not allowed.
// Escapes stay, and a "%" that begins none is encoded.
func escaped(s string, allowed func(c byte) bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	kept := 0 // the part of s that has been written
	for i := 0; i < len(s); i++ {
		c := s[i]
		if allowed(c) || c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			continue
		}
		b.WriteString(s[kept:i])
		b.Write([]byte{'%', digits[c>>4], digits[c&0xF]})
		kept = i + 1
	}
	if kept == 0 {
		return s
	}
	b.WriteString(s[kept:])
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// sentHost returns the host and port of u in ASCII.
func sentHost(u *url.URL) (string, bool) {
	host, port := u.Hostname(), u.Port()
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
		host = "[" + host + "]"
	} else if text.Unreserved(host, len(host)) {
		host = strings.ToLower(host)
	} else {
		ascii, ok := punycode.Host(host)
		if !ok || !text.Unreserved(ascii, len(ascii)) {
			return "", false
		}
		host = ascii
	}
	if host == "" || strings.HasSuffix(u.Host, ":") {
		return host, host != ""
	}
	if port != "" {
		host += ":" + port
	}
	return host, true
}

// namesPhone reports whether a parameter of the query is named like a phone
// number and holds one.
func namesPhone(u *url.URL) bool {
	for name, values := range u.Query() {
		for _, value := range values {
			if personaldata.NamesPhone(name) && personaldata.IsBarePhone(value) {
				return true
			}
		}
	}
	return false
}

// decoded returns the query with its escapes resolved, or as it is.
func decoded(query string) string {
	if s, err := url.QueryUnescape(query); err == nil {
		return s
	}
	return query
}
