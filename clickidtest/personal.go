package clickidtest

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
)

// Raw personal data. The contract only takes tokens and hashes.
var (
	emailAddress  = regexp.MustCompile("[\\p{L}\\p{N}!#$%&'*+./=?^_`{|}~\"-]@([\\p{L}\\p{N}.-]+)")
	international = regexp.MustCompile(`(^|[\s(:;,])\+[1-9][0-9 ().-]{6,20}[0-9]\b`)
	northAmerican = regexp.MustCompile(`^(\+?1[-. ]?)?\(?[2-9][0-9]{2}\)?[-. ] ?[2-9][0-9]{2}[-. ][0-9]{4}$`)
	digit         = regexp.MustCompile(`[0-9]`)
	bareNumber    = regexp.MustCompile(`^\+?[0-9 ()./-]{6,24}$`)

	// Many order numbers look like phone numbers, so these members are only
	// searched for e-mail addresses.
	identifiers = regexp.MustCompile(`^(/events/\d+)?/(event_id|id|custom_data/(order_id|contents/\d+/id)|properties/(transaction_id|items/\d+/id))$`)
	// Of phone numbers, only the international form is looked for in these.
	userIdentifiers = regexp.MustCompile(`^(/events/\d+)?/user_(match|data)/`)
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
		if problem := personal(path, name, v); problem != "" {
			p.add(path, "%s", problem)
		}
	case json.Number:
		if isPhoneNumber(name, v.String()) {
			p.add(path, "is a raw phone number")
		}
	case []any:
		for i, element := range v {
			p.noPersonalData(path+"/"+strconv.Itoa(i), name, element)
		}
	case map[string]any:
		for _, member := range sortedNames(v) {
			inner := path + "/" + member
			if holdsEmail(member) {
				p.add(path+"/?", "is named after a raw e-mail address")
			}
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
func personal(path, name, s string) string {
	if strings.Contains(s, "%40") {
		if decoded, err := url.QueryUnescape(s); err == nil {
			s = decoded
		}
	}
	if strings.Contains(s, "@") && holdsEmail(s) {
		return "contains a raw e-mail address"
	}
	if identifiers.MatchString(path) {
		return ""
	}
	if holdsInternational(s) || !userIdentifiers.MatchString(path) && (northAmerican.MatchString(s) || isPhoneNumber(name, s)) {
		return "contains a raw phone number"
	}
	return ""
}

// isPhoneNumber reports whether s is a number of a member that is named like a
// phone number.
func isPhoneNumber(name, s string) bool {
	n := len(digit.FindAllString(s, -1))
	return slices.Contains(phoneNames, strings.ToLower(name)) && bareNumber.MatchString(s) && 7 <= n && n <= 15
}

// holdsEmail reports whether s contains an e-mail address: a name at a domain
// under a public suffix, or under a name in another script, which the list has in
// Punycode. The name of an image, such as logo@2x.png, is not one, and neither is
// an internal host.
func holdsEmail(s string) bool {
	for _, match := range emailAddress.FindAllStringSubmatch(s, -1) {
		domain := strings.ToLower(strings.Trim(match[1], ".-"))
		suffix, icann := publicsuffix.PublicSuffix(domain)
		last := domain[strings.LastIndexByte(domain, '.')+1:]
		foreign := strings.ContainsFunc(last, func(r rune) bool { return r >= utf8.RuneSelf })
		if strings.Contains(domain, ".") && (icann || foreign || strings.Contains(suffix, ".")) {
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
