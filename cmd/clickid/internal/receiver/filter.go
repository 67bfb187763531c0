package receiver

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/clickid/clickid/clickidtest"
)

// filter selects entries. The zero value of a field selects all.
type filter struct {
	kinds, verdicts, types, dialects, ids, clickIDs, destinations []string
	text                                                          string // in lower case
	after, before                                                 int    // numbers; before is never 0
}

// allKinds selects requests as well as events.
const allKinds = "all"

// parseFilter reads a filter from a query. The known parameters are those of the
// endpoint besides.
func parseFilter(query url.Values, known ...string) (filter, error) {
	f := filter{before: math.MaxInt}
	lists := map[string]*[]string{
		"kind": &f.kinds, "verdict": &f.verdicts, "type": &f.types, "dialect": &f.dialects,
		"id": &f.ids, "click_id": &f.clickIDs, "destination": &f.destinations,
	}
	for name, values := range query {
		switch list := lists[name]; {
		case list != nil:
			*list = values
		case name == "text":
			f.text = strings.ToLower(values[0])
		case name == "after" || name == "before":
			number, err := strconv.Atoi(values[0])
			if err != nil || number < 0 {
				return f, fmt.Errorf("%s must be the number of an event", name)
			}
			if name == "after" {
				f.after = number
			} else {
				f.before = number
			}
		case !slices.Contains(known, name):
			return f, fmt.Errorf("%s is not a parameter of this endpoint", name)
		}
	}
	return f, f.check()
}

func (f *filter) check() error {
	for _, list := range []struct {
		name          string
		values, known []string
	}{
		{"kind", f.kinds, []string{kindEvent, kindRequest, allKinds}},
		{"verdict", f.verdicts, []string{
			string(clickidtest.OutcomeAccepted), string(clickidtest.OutcomeDuplicate),
			string(clickidtest.OutcomeRefused), string(clickidtest.OutcomeNotProcessed), verdictResponded,
		}},
		{"dialect", f.dialects, []string{string(clickidtest.DialectECAPI), string(clickidtest.DialectLogEvent)}},
	} {
		for _, value := range list.values {
			if !slices.Contains(list.known, value) {
				return fmt.Errorf("%s must be one of %s", list.name, strings.Join(list.known, ", "))
			}
		}
	}
	if len(f.kinds) == 0 {
		f.kinds = []string{kindEvent}
	} else if slices.Contains(f.kinds, allKinds) {
		f.kinds = nil
	}
	if f.before <= f.after {
		return errors.New("before must be greater than after")
	}
	return nil
}

func (f *filter) matches(k *kept) bool {
	for _, list := range []struct {
		values []string
		value  string
	}{
		{f.kinds, k.Kind},
		{f.verdicts, k.Verdict},
		{f.types, k.Type},
		{f.dialects, k.Dialect},
		{f.ids, k.ID},
		{f.clickIDs, k.ClickID},
		{f.destinations, k.Destination},
	} {
		if len(list.values) > 0 && !slices.Contains(list.values, list.value) {
			return false
		}
	}
	return f.text == "" || k.contains(f.text)
}

// contains looks for a text in lower case.
func (k *kept) contains(text string) bool {
	for _, s := range []string{k.Verdict, k.Path, k.Code, k.Fault, strconv.Itoa(k.Status)} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	for _, p := range k.Problems {
		if strings.Contains(strings.ToLower(p.Field+" "+p.Message), text) {
			return true
		}
	}
	return bytes.Contains(bytes.ToLower(k.json()), []byte(text))
}

// json returns the event, or the body of a request without one.
func (k *kept) json() []byte {
	if k.Kind == kindEvent {
		return k.exchange.Events[k.index].Raw
	}
	return k.exchange.Body
}

// latest returns the latest entries that match, oldest first, and how many match
// in all. The caller holds the lock.
func (s *store) latest(f filter, limit int) (found []Entry, total int) {
	found = []Entry{}
	for i := len(s.entries) - 1; i >= s.after(f.after); i-- {
		k := s.entries[i]
		if k.Number >= f.before || !f.matches(k) {
			continue
		}
		total++
		if len(found) < limit {
			found = append(found, s.current(k))
		}
	}
	slices.Reverse(found)
	return found, total
}
