// Package visitor reads what requests contain about a visitor.
package visitor

import (
	"net/netip"
	"strings"

	"github.com/clickid/clickid/internal/text"
)

// MaxUserAgent is the longest user agent that is sent, in characters.
const MaxUserAgent = 512

// UserAgent returns a user agent in the form in which it is sent.
func UserAgent(s string) string {
	s = text.OneLine(s)
	if text.Longer(s, MaxUserAgent) {
		s = strings.TrimSpace(text.Truncate(s, MaxUserAgent))
	}
	return s
}

// IP returns the first address of a value of X-Forwarded-For, Forwarded or
// [net/http.Request.RemoteAddr].
func IP(s string) (ip string, ok bool) {
	if s == "" {
		return "", false // without the cost of an error
	}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if len(part) > 4 && strings.EqualFold(part[:4], "for=") {
			part, _, _ = strings.Cut(part[4:], ";")
		}
		part = strings.Trim(part, `"`)
		addr, err := netip.ParseAddr(strings.Trim(part, "[]"))
		if err != nil {
			withPort, _ := netip.ParseAddrPort(part)
			addr = withPort.Addr()
		}
		if addr = addr.Unmap().WithZone(""); !addr.IsValid() || addr.IsUnspecified() {
			continue
		}
		if same, err := netip.ParseAddr(s); err == nil && same == addr {
			return s, true // unchanged
		}
		return addr.String(), true
	}
	return "", false
}
