package clickidtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxProblems bounds the problems that are reported for a request.
const maxProblems = 100

// problems collects the problems of a request.
type problems struct {
	found []Problem
	asked func(field string) // for a test: is called with each member that is looked for; or nil
}

func (p *problems) add(field, format string, args ...any) {
	if len(p.found) < maxProblems {
		p.found = append(p.found, Problem{Field: field, Message: fmt.Sprintf(format, args...)})
	}
}

// parse reads one JSON value, numbers as json.Number, and nothing after it.
func parse(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8") // encoding/json would replace the bytes silently
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// object is a JSON object whose members are checked one by one. Members that
// were not asked for are reported by refuseOthers.
type object struct {
	*problems
	path    string
	members map[string]any
	known   []string
}

// newObject returns v as an object, or reports a problem and returns nil.
func (p *problems) newObject(path string, v any) *object {
	members, ok := v.(map[string]any)
	if !ok {
		p.add(path, "must be an object")
		return nil
	}
	return &object{problems: p, path: path, members: members}
}

func (o *object) field(name string) string { return o.path + "/" + name }

func (o *object) wrong(name, format string, args ...any) { o.add(o.field(name), format, args...) }

func (o *object) has(name string) bool {
	_, ok := o.members[name]
	return ok
}

// take returns a member and marks it as known.
func (o *object) take(name string) (any, bool) {
	if o.problems.asked != nil {
		o.problems.asked(o.field(name))
	}
	v, ok := o.members[name]
	if ok {
		o.known = append(o.known, name)
	}
	return v, ok
}

// require reports members that are missing.
func (o *object) require(names ...string) {
	for _, name := range names {
		if !o.has(name) {
			o.wrong(name, "is required")
		}
	}
}

// refuseOthers reports members that the contract does not know.
func (o *object) refuseOthers() {
	if len(o.known) == len(o.members) {
		return
	}
	var others []string
	for name := range o.members {
		if !slices.Contains(o.known, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		o.wrong(name, "is not a member of the contract")
	}
}

// rule returns the problem of a text, or "".
type rule func(string) string

// text returns a member that is a string of 1 to limit characters (of any
// length if limit is 0) and follows the rules. Otherwise it reports a problem
// and returns "".
func (o *object) text(name string, limit int, rules ...rule) string {
	v, ok := o.take(name)
	if !ok {
		return ""
	}
	problem := textProblem(v, limit, rules)
	if problem == "" {
		return v.(string)
	}
	o.wrong(name, "%s", problem)
	return ""
}

func textProblem(v any, limit int, rules []rule) string {
	s, ok := v.(string)
	switch {
	case !ok:
		return "must be a string"
	case s == "":
		return "must not be empty"
	case limit > 0 && len(s) > limit && utf8.RuneCountInString(s) > limit:
		return fmt.Sprintf("must not be longer than %d characters", limit)
	}
	for _, rule := range rules {
		if problem := rule(s); problem != "" {
			return problem
		}
	}
	return ""
}

// list returns a member that is an array.
func (o *object) list(name string) ([]any, bool) {
	v, ok := o.take(name)
	if !ok {
		return nil, false
	}
	list, ok := v.([]any)
	if !ok {
		o.wrong(name, "must be an array")
	}
	return list, ok
}

// texts returns a member that is an array of texts.
func (o *object) texts(name string, limit int, rules ...rule) []any {
	list, _ := o.list(name)
	for i, v := range list {
		if problem := textProblem(v, limit, rules); problem != "" {
			o.wrong(name+"/"+strconv.Itoa(i), "%s", problem)
		}
	}
	return list
}

// objects returns the objects of a member that is an array of them.
func (o *object) objects(name string) []*object {
	list, _ := o.list(name)
	found := make([]*object, 0, len(list))
	for i, v := range list {
		if element := o.newObject(o.field(name)+"/"+strconv.Itoa(i), v); element != nil {
			found = append(found, element)
		}
	}
	return found
}

// object returns a member that is an object, or nil.
func (o *object) object(name string) *object {
	v, ok := o.take(name)
	if !ok {
		return nil
	}
	return o.newObject(o.field(name), v)
}

// number returns the text of a member that is a JSON number from low to high.
func (o *object) number(name string, low, high float64) string {
	v, ok := o.take(name)
	if !ok {
		return ""
	}
	problem := numberProblem(v, low, high)
	if problem != "" {
		o.wrong(name, "%s", problem)
		return ""
	}
	return v.(json.Number).String()
}

func numberProblem(v any, low, high float64) string {
	n, ok := v.(json.Number)
	if !ok {
		return "must be a number"
	}
	f, err := n.Float64()
	switch {
	case err != nil:
		return "must be a number that can be represented"
	case f < low || f > high:
		return "must be " + between(low, high)
	}
	return ""
}

// integer returns a member that is an integer from low to high, written
// without fraction and exponent.
func (o *object) integer(name string, low, high float64) (int64, bool) {
	v, ok := o.take(name)
	if !ok {
		return 0, false
	}
	if problem := integerProblem(v, low, high); problem != "" {
		o.wrong(name, "%s", problem)
		return 0, false
	}
	i, err := v.(json.Number).Int64()
	return i, err == nil
}

func integerProblem(v any, low, high float64) string {
	if problem := numberProblem(v, low, high); problem != "" {
		return problem
	}
	if _, err := v.(json.Number).Int64(); err != nil {
		return "must be an integer"
	}
	return ""
}

// integers checks a member that is an array of integers.
func (o *object) integers(name string, low, high float64) {
	list, _ := o.list(name)
	for i, v := range list {
		if problem := integerProblem(v, low, high); problem != "" {
			o.wrong(name+"/"+strconv.Itoa(i), "%s", problem)
		}
	}
}

func (o *object) boolean(name string) {
	if v, ok := o.take(name); ok {
		if _, ok := v.(bool); !ok {
			o.wrong(name, "must be true or false")
		}
	}
}

var unbounded = math.Inf(1)

func between(low, high float64) string {
	if math.IsInf(high, 1) {
		return fmt.Sprintf("at least %v", low)
	}
	return fmt.Sprintf("from %v to %v", low, high)
}

// oneOf is the rule of an enumeration.
func oneOf(names ...string) rule {
	return func(s string) string {
		if slices.Contains(names, s) {
			return ""
		}
		return fmt.Sprintf("must be one of %s", strings.Join(names, ", "))
	}
}

// pattern is the rule of a regular expression.
func pattern(expression string) rule {
	compiled := regexp.MustCompile(expression)
	return func(s string) string {
		if compiled.MatchString(s) {
			return ""
		}
		return "must match " + expression
	}
}

var sha256Hex = pattern(`^[0-9a-f]{64}$`)

func ipAddress(s string) string {
	if addr, err := netip.ParseAddr(s); err != nil || addr.Zone() != "" {
		return "must be an IP address"
	}
	return ""
}

// rfc3986 is the form of a URL in RFC 3986, without user information.
var rfc3986 = regexp.MustCompile(`^https?://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?` +
	`(/(` + pchar + `|/)*)?(\?(` + pchar + `|[/?])*)?(#(` + pchar + `|[/?])*)?$`)

const pchar = `[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}`

func webURL(s string) string {
	if u, err := url.Parse(s); err != nil || u.Host == "" || !rfc3986.MatchString(s) {
		return "must be an absolute http or https URL in the form of RFC 3986"
	}
	return ""
}

var rfc3339 = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$`)

// timestamp returns a member that is a time in the form of RFC 3339.
func (o *object) timestamp(name string, now time.Time) time.Time {
	s := o.text(name, 0)
	if s == "" {
		return time.Time{}
	}
	// time.Parse also accepts single-digit hours and decimal commas.
	t, err := time.Parse(time.RFC3339, strings.ToUpper(s))
	if err != nil || !rfc3339.MatchString(s) {
		o.wrong(name, "must be an RFC 3339 time, such as 2026-01-31T12:00:00Z")
		return time.Time{}
	}
	o.notAhead(name, t, now)
	return t
}

// ahead is the tolerance for wrong clocks and time zones.
const ahead = 24 * time.Hour

func (o *object) notAhead(name string, t, now time.Time) {
	if t.After(now.Add(ahead)) {
		o.wrong(name, "is in the future")
	}
}
