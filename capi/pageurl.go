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
	u, err := url.Parse(escaped(raw, "")) // "" keeps every character but a "%" that begins no escape
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
	sent = scheme + "://" + host + escaped(u.EscapedPath(), pathCharacters)
	if !keep {
		return sent, ""
	}
	rest := ""
	if u.RawQuery != "" {
		rest = "?" + escaped(u.RawQuery, queryCharacters)
	}
	if u.Fragment != "" {
		rest += "#" + escaped(u.EscapedFragment(), queryCharacters)
	}
	if personaldata.Problem(sent+rest) != "" || personaldata.Problem(decoded(u.RawQuery)) != "" || personaldata.Problem(u.Fragment) != "" ||
		namesPhone(u) {
		return sent, "the query of page_url was left out: it holds personal data"
	}
	return sent + rest, ""
}

const problemURL = "page_url was left out: it must be an absolute http or https URL"

// Characters that RFC 3986 allows in a path, and in a query or fragment.
const (
	unreserved      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	pathCharacters  = unreserved + "!$&'()*+,;=:@/"
	queryCharacters = pathCharacters + "?"
)

// escaped returns s with all characters percent-encoded that are not allowed.
// Escapes stay, and a "%" that begins none is encoded. No allowed characters
// means all.
func escaped(s, allowed string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) ||
			c != '%' && (allowed == "" || strings.IndexByte(allowed, c) >= 0) {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&0xF]})
	}
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
	} else {
		host = strings.ToLower(host)
		if strings.Trim(host, unreserved) != "" {
			ascii, ok := punycode.Host(host)
			if !ok || strings.Trim(ascii, unreserved) != "" {
				return "", false
			}
			host = ascii
		}
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
