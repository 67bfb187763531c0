package clickidtest

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Raw personal data. The contract only takes tokens and hashes.
var (
	emailAddress  = regexp.MustCompile(`(?i)[a-z0-9._%+-]+@[a-z0-9-]+(\.[a-z0-9-]+)*\.([a-z]{2,24})`)
	international = regexp.MustCompile(`(^|[\s(:;,])\+[1-9][0-9 ().-]{6,20}[0-9]\b`)
	northAmerican = regexp.MustCompile(`^(\+?1[-. ]?)?\(?[2-9][0-9]{2}\)?[-. ] ?[2-9][0-9]{2}[-. ][0-9]{4}$`)
	digit         = regexp.MustCompile(`[0-9]`)
	bareNumber    = regexp.MustCompile(`^\+?[0-9 ()./-]{6,24}$`)
)

// postalNames are members that hold a postal address in any form.
var postalNames = []string{
	"address", "street", "street_address", "postal_address", "shipping_address", "billing_address", "home_address",
}

// userAgents may contain an e-mail address: crawlers name their operator's.
var userAgents = []string{"client_user_agent", "event_user_agent", "landing_user_agent"}

var phoneNames = []string{"phone", "phone_number", "telephone", "mobile", "mobile_number"}

// noPersonalData reports personal data in v and everything in it.
func (p *problems) noPersonalData(path, name string, v any) {
	switch v := v.(type) {
	case string:
		if problem := personal(name, v); problem != "" {
			p.add(path, "%s", problem)
		}
	case json.Number:
		if slices.Contains(phoneNames, strings.ToLower(name)) && bareNumber.MatchString(v.String()) {
			p.add(path, "is a raw phone number")
		}
	case []any:
		for i, element := range v {
			p.noPersonalData(path+"/"+strconv.Itoa(i), name, element)
		}
	case map[string]any:
		for _, member := range sortedNames(v) {
			inner := path + "/" + member
			if !slices.Contains(userAgents, member) {
				p.noPersonalData(inner, member, v[member])
			}
		}
	}
}

// noPostalAddress reports postal addresses in a free-form object by the names
// of its members.
func (p *problems) noPostalAddress(path string, members map[string]any) {
	for _, name := range sortedNames(members) {
		inner := path + "/" + name
		if slices.Contains(postalNames, strings.ToLower(name)) {
			p.add(inner, "is a raw postal address")
		} else if object, ok := members[name].(map[string]any); ok {
			p.noPostalAddress(inner, object)
		}
	}
}

func sortedNames(members map[string]any) []string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// personal describes the personal data in the text of a member, or returns "".
func personal(name, s string) string {
	if strings.Contains(s, "%40") {
		if decoded, err := url.QueryUnescape(s); err == nil {
			s = decoded
		}
	}
	if strings.Contains(s, "@") && holdsEmail(s) {
		return "contains a raw e-mail address"
	}
	if northAmerican.MatchString(s) || holdsInternational(s) ||
		slices.Contains(phoneNames, strings.ToLower(name)) && bareNumber.MatchString(s) {
		return "contains a raw phone number"
	}
	return ""
}

// holdsEmail reports whether s contains an e-mail address. The name of an
// image, such as logo@2x.png, is not one.
func holdsEmail(s string) bool {
	for _, match := range emailAddress.FindAllStringSubmatch(s, -1) {
		switch strings.ToLower(match[2]) {
		case "png", "jpg", "jpeg", "gif", "webp", "avif", "svg":
		default:
			return true
		}
	}
	return false
}

// holdsInternational reports whether s contains a number of E.164, with 8 to
// 15 digits and the usual separators.
func holdsInternational(s string) bool {
	if !strings.Contains(s, "+") {
		return false
	}
	for _, match := range international.FindAllString(s, -1) {
		if n := len(digit.FindAllString(match, -1)); 8 <= n && n <= 15 {
			return true
		}
	}
	return false
}
