package origin

import (
	"net/netip"
	"strings"

	"github.com/clickid/clickid/internal/text"
	"golang.org/x/net/publicsuffix"
)

// IsIP reports whether host is an IP address, with or without brackets. Browsers
// take a host whose last label is a number for one, such as 127.1.
func IsIP(host string) bool {
	if last := host[strings.LastIndexByte(host, '.')+1:]; last != "" && strings.Trim(last, "0123456789") == "" {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// DomainProblem returns the reason why domain cannot be a cookie's Domain, or
// "".
func DomainProblem(domain string) string {
	switch {
	case IsIP(domain):
		return "must not be an IP address"
	case strings.Contains(domain, ":"):
		return "must not have a port: cookies do not know ports"
	case domain != strings.ToLower(domain) || !text.Unreserved(domain, 253) || strings.ContainsAny(domain, "_~"):
		return "must be a host name in lower case, internationalised names in their xn-- form"
	case strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(domain, ".."):
		return "must be written without leading, trailing or doubled dots"
	case !validLabels(domain):
		return "must be a host name, whose labels have at most 63 characters and no hyphen at their beginning or end"
	}
	if _, err := publicsuffix.EffectiveTLDPlusOne(domain); err != nil {
		return "is a public suffix: browsers refuse a cookie for all its sites"
	}
	return ""
}

func validLabels(domain string) bool {
	for label := range strings.SplitSeq(domain, ".") {
		if len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}
