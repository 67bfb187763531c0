// Package sources compares a file of event sources with those that the platform
// has registered.
package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/clickid/clickid/interchange"
	"go.yaml.in/yaml/v3"
)

// maxFile limits the file, in bytes.
const maxFile = 1 << 20

// file is the form of the file, in YAML or JSON.
type file struct {
	EventSources []source `yaml:"event_sources"`
}

type source struct {
	ID                  string   `yaml:"id"`
	Name                string   `yaml:"name,omitempty"`
	EventTypes          []string `yaml:"event_types,omitempty"`
	AllowedDomains      []string `yaml:"allowed_domains,omitempty"`
	IntegrationPlatform string   `yaml:"integration_platform,omitempty"`
	Mapping             *mapping `yaml:"mapping,omitempty"`
	TestEventCode       string   `yaml:"test_event_code,omitempty"`
	ValueCurrencies     []string `yaml:"value_currencies,omitempty"`
}

type mapping struct {
	EventID    string   `yaml:"event_id,omitempty"`
	EventType  string   `yaml:"event_type,omitempty"`
	EventTime  string   `yaml:"event_time,omitempty"`
	UserMatch  []string `yaml:"user_match,omitempty"`
	Value      string   `yaml:"value,omitempty"`
	Currency   string   `yaml:"currency,omitempty"`
	OrderID    string   `yaml:"order_id,omitempty"`
	ContentIDs string   `yaml:"content_ids,omitempty"`
	Consent    string   `yaml:"consent,omitempty"`
	Dedupe     string   `yaml:"dedupe_strategy,omitempty"`
	Notes      string   `yaml:"notes,omitempty"`
}

// Read reads a file of event sources.
func Read(r io.Reader) ([]interchange.EventSource, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxFile:
		return nil, errors.New("the file has more than 1 MiB")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true) // a mistyped name must not be ignored
	var f file
	if err := decoder.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the file is not a list of event sources: %w", err)
	}
	if len(f.EventSources) == 0 {
		return nil, errors.New(`the file has no event sources; it must have the form of "clickid sources list"`)
	}
	var list []interchange.EventSource
	for i, s := range f.EventSources {
		if s.ID == "" {
			return nil, fmt.Errorf("event_sources[%d] has no id", i)
		}
		if slices.ContainsFunc(list, func(other interchange.EventSource) bool { return other.ID == s.ID }) {
			return nil, fmt.Errorf("event_sources[%d] has the id %q of another one", i, s.ID)
		}
		list = append(list, s.registered())
	}
	return list, nil
}

func (s source) registered() interchange.EventSource {
	e := interchange.EventSource{
		ID: s.ID, Name: s.Name, EventTypes: s.EventTypes, AllowedDomains: s.AllowedDomains,
		IntegrationPlatform: s.IntegrationPlatform, TestEventCode: s.TestEventCode, ValueCurrencies: s.ValueCurrencies,
	}
	if m := s.Mapping; m != nil {
		e.Mapping = &interchange.Mapping{
			EventIDField: m.EventID, EventTypeField: m.EventType, EventTimeField: m.EventTime, UserMatchFields: m.UserMatch,
			ValueField: m.Value, CurrencyField: m.Currency, OrderIDField: m.OrderID, ContentIDsField: m.ContentIDs,
			ConsentField: m.Consent, DedupeStrategy: m.Dedupe, Notes: m.Notes,
		}
	}
	return e
}

// Difference is the difference of an event source between file and platform.
type Difference struct {
	ID string `json:"id"`
	// New reports that the platform does not know the source.
	New bool `json:"new,omitempty"`
	// Missing reports that the file does not have it.
	Missing bool     `json:"missing,omitempty"`
	Changes []Change `json:"changes,omitempty"`
}

// Change is a member with different values. "" means that it is not set.
type Change struct {
	Member string `json:"member"`
	From   string `json:"from"`
	To     string `json:"to"`
}

// Compare returns the differences in the order of the file, and then the
// sources that the file does not have.
func Compare(wanted []interchange.EventSource, registered []interchange.RegisteredSource) []Difference {
	var list []Difference
	for _, w := range wanted {
		d := Difference{ID: w.ID}
		i := slices.IndexFunc(registered, func(r interchange.RegisteredSource) bool { return r.ID == w.ID })
		if i < 0 {
			d.New = true
			d.Changes = changes(interchange.EventSource{}, w)
		} else {
			d.Changes = changes(registered[i].EventSource, w)
		}
		list = append(list, d)
	}
	for _, r := range registered {
		if !slices.ContainsFunc(wanted, func(w interchange.EventSource) bool { return w.ID == r.ID }) {
			list = append(list, Difference{ID: r.ID, Missing: true})
		}
	}
	return list
}

// Changed reports whether a sync changes something.
func Changed(list []Difference) bool {
	return slices.ContainsFunc(list, func(d Difference) bool { return d.New || len(d.Changes) > 0 })
}

func changes(from, to interchange.EventSource) []Change {
	var list []Change
	add := func(member string, from, to any) {
		if a, b := show(from), show(to); a != b {
			list = append(list, Change{member, a, b})
		}
	}
	if to.Name == "" && from.Name == to.ID {
		to.Name = to.ID // the platform's default
	}
	add("name", from.Name, to.Name)
	add("event_types", from.EventTypes, to.EventTypes)
	add("allowed_domains", from.AllowedDomains, to.AllowedDomains)
	add("integration_platform", from.IntegrationPlatform, to.IntegrationPlatform)
	add("mapping", from.Mapping, to.Mapping)
	add("test_event_code", from.TestEventCode, to.TestEventCode)
	add("value_currencies", from.ValueCurrencies, to.ValueCurrencies)
	return list
}

// show returns a value as text. The order of a list has no meaning.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []string:
		return strings.Join(slices.Sorted(slices.Values(v)), ", ")
	case *interchange.Mapping:
		if v == nil {
			return ""
		}
		var set []string
		fields := reflect.ValueOf(*v)
		for i := range fields.NumField() {
			if f := fields.Field(i); !f.IsZero() {
				set = append(set, fmt.Sprintf("%s=%v", fields.Type().Field(i).Name, f))
			}
		}
		return strings.Join(set, " ")
	}
	return fmt.Sprint(v)
}

// Write writes registered sources in the form that Read reads.
func Write(w io.Writer, registered []interchange.RegisteredSource) error {
	var f file
	for _, r := range registered {
		s := source{
			ID: r.ID, Name: r.Name, EventTypes: r.EventTypes, AllowedDomains: r.AllowedDomains,
			IntegrationPlatform: r.IntegrationPlatform, TestEventCode: r.TestEventCode, ValueCurrencies: r.ValueCurrencies,
		}
		if m := r.Mapping; m != nil {
			s.Mapping = &mapping{
				m.EventIDField, m.EventTypeField, m.EventTimeField, m.UserMatchFields, m.ValueField, m.CurrencyField,
				m.OrderIDField, m.ContentIDsField, m.ConsentField, m.DedupeStrategy, m.Notes,
			}
		}
		f.EventSources = append(f.EventSources, s)
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	return errors.Join(encoder.Encode(f), encoder.Close())
}
