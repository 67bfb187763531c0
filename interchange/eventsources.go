package interchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clickid/clickid/internal/rawjson"
	"github.com/clickid/clickid/internal/text"
)

// Limits of the contract.
const (
	maxSources     = 50 // in one request
	maxSourceID    = 255
	maxName        = 255
	maxPlatform    = 128
	maxTestCode    = 256
	maxMapped      = 256
	maxDedupe      = 1024
	maxNotes       = 2048
	pageSize       = 250
	maxPages       = 1000 // of a list that does not end
	lenOfCurrency  = 3
	maxDomainBytes = 253
)

// EventSource is a source of events, such as a shop. The platform refuses the
// events of a source that is not registered.
type EventSource struct {
	// ID has 1 to 255 characters. It is the EventSourceID of capi.LogEvent.
	// Required.
	ID string
	// Name has at most 255 characters. Optional.
	Name string
	// EventTypes are the log_event types that the source sends, such as
	// "purchase". Defaults to all.
	EventTypes []string
	// AllowedDomains are the host names that events may come from. Optional.
	AllowedDomains []string
	// IntegrationPlatform is the name of the sending software, with at most 128
	// characters. Optional.
	IntegrationPlatform string
	// Mapping maps the source's data to the members of an event. Optional.
	Mapping *Mapping
	// TestEventCode marks the test events of the source. It has at most 256
	// characters. Optional.
	TestEventCode string
	// ValueCurrencies are the ISO 4217 codes of values. If they are set, the
	// platform refuses a value in another currency. It exists since AdCP 3.2.
	// Optional.
	ValueCurrencies []string
}

// Mapping maps the source's data to the members of an event. Every member is
// optional and has at most 256 characters, except DedupeStrategy (1024) and
// Notes (2048).
type Mapping struct {
	// EventIDField, EventTypeField and EventTimeField name the fields of the
	// source with an event's ID, type and time, UserMatchFields those with user
	// identities, ValueField and CurrencyField those with its value, OrderIDField
	// and ContentIDsField those with the order and its items, and ConsentField
	// the one with the consent.
	EventIDField    string   `json:"eventIdField,omitempty"`
	EventTypeField  string   `json:"eventTypeField,omitempty"`
	EventTimeField  string   `json:"eventTimeField,omitempty"`
	UserMatchFields []string `json:"userMatchFields,omitempty"`
	ValueField      string   `json:"valueField,omitempty"`
	CurrencyField   string   `json:"currencyField,omitempty"`
	OrderIDField    string   `json:"orderIdField,omitempty"`
	ContentIDsField string   `json:"contentIdsField,omitempty"`
	ConsentField    string   `json:"consentField,omitempty"`
	// DedupeStrategy and Notes are texts for the operator.
	DedupeStrategy string `json:"dedupeStrategy,omitempty"`
	Notes          string `json:"notes,omitempty"`
}

// Action is the result of a sync for an event source.
type Action string

// The actions of a sync.
const (
	ActionCreated   Action = "created"
	ActionUpdated   Action = "updated"
	ActionUnchanged Action = "unchanged"
	ActionFailed    Action = "failed"
	ActionDeleted   Action = "deleted"
)

// SyncResult is the result of a sync for one event source.
type SyncResult struct {
	// ID is that of the event source.
	ID string
	// Action is the platform's action, or [ActionFailed] if the response does
	// not mention the source.
	Action Action
	// SnippetType and Instructions are the platform's instructions for sending
	// the events of the source. Both may be empty.
	SnippetType, Instructions string
	// Err is non-nil exactly if the source is not registered as requested.
	Err error
}

// Sync registers or changes 1 to 50 event sources. It returns a result for
// each, in their order. The error is non-nil if one of them failed, and joins
// the errors of the results. Other event sources do not change.
func (c *Client) Sync(ctx context.Context, sources ...EventSource) ([]SyncResult, error) {
	return c.sync(ctx, sources, false)
}

// SyncAndArchive is [Client.Sync] and archives every other event source of the
// advertiser, also those of other teams and tools: the platform refuses their
// events from then on. The results of archived sources follow those of the
// given ones.
func (c *Client) SyncAndArchive(ctx context.Context, sources ...EventSource) ([]SyncResult, error) {
	return c.sync(ctx, sources, true)
}

func (c *Client) sync(ctx context.Context, sources []EventSource, archive bool) ([]SyncResult, error) {
	if err := c.ready(true); err != nil {
		return nil, err
	}
	if err := checkSources(sources); err != nil {
		return nil, err
	}
	request := syncRequest{DeleteMissing: archive}
	request.Account.ID = c.cfg.AdvertiserID
	for _, s := range sources {
		request.EventSources = append(request.EventSources, syncSource(s))
	}
	o, err := c.call(ctx, "sync event sources", http.MethodPost, c.advertiserPath("/event-sources/sync"), nil, request)
	if err != nil {
		return nil, err
	}
	return readSync(o, sources)
}

type syncRequest struct {
	Account struct {
		ID string `json:"account_id"`
	} `json:"account"`
	EventSources  []syncSource `json:"event_sources"`
	DeleteMissing bool         `json:"delete_missing,omitempty"`
}

// syncSource is an EventSource with the names of the request.
type syncSource struct {
	ID                  string   `json:"event_source_id"`
	Name                string   `json:"name,omitempty"`
	EventTypes          []string `json:"event_types,omitempty"`
	AllowedDomains      []string `json:"allowed_domains,omitempty"`
	IntegrationPlatform string   `json:"integration_platform,omitempty"`
	Mapping             *Mapping `json:"mapping,omitempty"`
	TestEventCode       string   `json:"test_event_code,omitempty"`
	ValueCurrencies     []string `json:"value_currencies,omitempty"`
}

// readSync matches the results of the platform with the sources.
func readSync(o *object, sources []EventSource) ([]SyncResult, error) {
	list, ok := o.objects("event_sources")
	if err := o.complete(ok); err != nil {
		return nil, err
	}
	named := make(map[string]*object, len(list))
	for _, entry := range list {
		named[entry.text("event_source_id")] = entry
	}
	var results []SyncResult
	var failures []error
	for _, s := range sources {
		entry := named[s.ID]
		delete(named, s.ID)
		r := readSyncResult(s.ID, entry)
		failures = append(failures, r.Err)
		results = append(results, r)
	}
	for _, entry := range list { // in the order of the response
		id := entry.text("event_source_id")
		if named[id] == entry && entry.text("action") == string(ActionDeleted) {
			results = append(results, SyncResult{ID: id, Action: ActionDeleted})
		}
	}
	return results, errors.Join(failures...)
}

// readSyncResult reads the platform's result for a source. It is nil if the
// response has none.
func readSyncResult(id string, entry *object) SyncResult {
	r := SyncResult{ID: id, Action: ActionFailed}
	if entry == nil {
		r.Err = fmt.Errorf("interchange: sync event source %q: the response does not mention it", id)
		return r
	}
	if setup := entry.object("setup"); setup != nil {
		r.SnippetType, r.Instructions = setup.text("snippet_type"), setup.text("instructions")
	}
	switch action := Action(entry.text("action")); action {
	case ActionCreated, ActionUpdated, ActionUnchanged:
		r.Action = action
	default:
		e := &Error{doing: fmt.Sprintf("sync event source %q", id), status: entry.response.status}
		e.read(entry.members)
		e.Body, _ = rawjson.Encode(entry.members) // it was decoded from JSON
		e.Body = e.Body[:min(len(e.Body), maxErrorBody)]
		r.Err = e
	}
	return r
}

// checkSources returns all problems of the sources.
func checkSources(sources []EventSource) error {
	if len(sources) < 1 || len(sources) > maxSources {
		return fmt.Errorf("interchange: sync event sources: 1 to %d are required, not %d", maxSources, len(sources))
	}
	var problems []error
	seen := make(map[string]bool, len(sources))
	for i := range sources {
		s := &sources[i]
		report := func(field, problem string) {
			problems = append(problems, fmt.Errorf("interchange: sync event sources: event source %d: %s %s", i, field, problem))
		}
		limit := func(field, value string, most int, required bool) {
			if value == "" && !required {
				return
			}
			if value == "" || text.Longer(value, most) || text.HasControl(value) {
				report(field, fmt.Sprintf("must be 1 to %d characters without control characters", most))
			}
		}
		limit("ID", s.ID, maxSourceID, true)
		if s.ID != "" && seen[s.ID] {
			report("ID", "must differ from those of earlier event sources")
		}
		seen[s.ID] = true
		limit("Name", s.Name, maxName, false)
		limit("IntegrationPlatform", s.IntegrationPlatform, maxPlatform, false)
		limit("TestEventCode", s.TestEventCode, maxTestCode, false)
		for _, t := range s.EventTypes {
			if !text.Name(t) {
				report("EventTypes", text.ProblemName+", such as \"purchase\"")
			}
		}
		for _, domain := range s.AllowedDomains {
			if domain == "" || len(domain) > maxDomainBytes || strings.ContainsAny(domain, "/:@ ") || text.HasControl(domain) {
				report("AllowedDomains", `must be host names such as "shop.example"`)
			}
		}
		for _, code := range s.ValueCurrencies {
			if len(code) != lenOfCurrency || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				report("ValueCurrencies", `must be ISO 4217 codes such as "USD"`)
			}
		}
		if m := s.Mapping; m != nil {
			for _, member := range []struct{ name, value string }{
				{"EventIDField", m.EventIDField}, {"EventTypeField", m.EventTypeField}, {"EventTimeField", m.EventTimeField},
				{"ValueField", m.ValueField}, {"CurrencyField", m.CurrencyField}, {"OrderIDField", m.OrderIDField},
				{"ContentIDsField", m.ContentIDsField}, {"ConsentField", m.ConsentField},
			} {
				limit("Mapping."+member.name, member.value, maxMapped, false)
			}
			for _, field := range m.UserMatchFields {
				limit("Mapping.UserMatchFields", field, maxMapped, true)
			}
			if text.Longer(m.DedupeStrategy, maxDedupe) {
				report("Mapping.DedupeStrategy", fmt.Sprintf("must not be longer than %d characters", maxDedupe))
			}
			if text.Longer(m.Notes, maxNotes) {
				report("Mapping.Notes", fmt.Sprintf("must not be longer than %d characters", maxNotes))
			}
		}
	}
	return errors.Join(problems...)
}

// RegisteredSource is an event source that the platform has registered.
type RegisteredSource struct {
	EventSource
	// CreatedAt and UpdatedAt are zero if the response does not contain them.
	CreatedAt, UpdatedAt time.Time
	// Health is the health of the source.
	Health Health
}

// HealthStatus is the platform's assessment of an event source.
type HealthStatus string

// The values of HealthStatus. It is empty if the response does not contain it.
const (
	HealthNotSeen        HealthStatus = "not_seen"
	HealthReceiving      HealthStatus = "receiving"
	HealthNeedsAttention HealthStatus = "needs_attention"
)

// Health describes the arrival of a source's events. Times are zero and texts
// empty if the response does not contain them.
type Health struct {
	// Status is the platform's verdict on the source.
	Status HealthStatus
	// LastEventAt is the time of the last event, LastEventReceivedAt that of its
	// arrival at the platform, and LastEventType its type.
	LastEventAt, LastEventReceivedAt time.Time
	LastEventType                    string
	// LastError is the platform's text, and LastErrorAt its time. The text may
	// contain sent values.
	LastError   string
	LastErrorAt time.Time
}

// EventSources returns the event sources of the advertiser with their health.
func (c *Client) EventSources(ctx context.Context) ([]RegisteredSource, error) {
	if err := c.ready(true); err != nil {
		return nil, err
	}
	var sources []RegisteredSource
	seen := make(map[string]bool)
	for skip, page := 0, 0; page < maxPages; page++ {
		query := url.Values{"take": {strconv.Itoa(pageSize)}, "skip": {strconv.Itoa(skip)}}
		o, err := c.call(ctx, "list event sources", http.MethodGet, c.advertiserPath("/event-sources"), query, nil)
		if err != nil {
			return nil, err
		}
		list, ok := o.objects("eventSources")
		if err := o.complete(ok); err != nil {
			return nil, err
		}
		before := len(sources)
		for _, entry := range list {
			s := readSource(entry)
			if err := o.complete(s.ID != ""); err != nil {
				return nil, err
			}
			// If a source is registered meanwhile, it moves others to the next
			// page.
			if !seen[s.ID] {
				seen[s.ID] = true
				sources = append(sources, s)
			}
		}
		skip += len(list)
		total, counted := o.count("total")
		if len(sources) == before || counted && int64(skip) >= total || !counted && len(list) < pageSize {
			break
		}
	}
	return sources, nil
}

func readSource(o *object) RegisteredSource {
	s := RegisteredSource{
		EventSource: EventSource{
			ID:                  o.text("eventSourceId"),
			Name:                o.text("name"),
			EventTypes:          o.texts("eventTypes"),
			AllowedDomains:      o.texts("allowedDomains"),
			IntegrationPlatform: o.text("integrationPlatform"),
			TestEventCode:       o.text("testEventCode"),
			ValueCurrencies:     o.texts("valueCurrencies"),
		},
		CreatedAt: o.time("createdAt"),
		UpdatedAt: o.time("updatedAt"),
	}
	if m := o.object("mapping"); m != nil {
		s.Mapping = &Mapping{
			EventIDField: m.text("eventIdField"), EventTypeField: m.text("eventTypeField"), EventTimeField: m.text("eventTimeField"),
			UserMatchFields: m.texts("userMatchFields"), ValueField: m.text("valueField"), CurrencyField: m.text("currencyField"),
			OrderIDField: m.text("orderIdField"), ContentIDsField: m.text("contentIdsField"), ConsentField: m.text("consentField"),
			DedupeStrategy: m.text("dedupeStrategy"), Notes: m.text("notes"),
		}
	}
	if h := o.object("health"); h != nil {
		s.Health = Health{
			Status:              HealthStatus(h.text("status")),
			LastEventAt:         h.time("lastEventAt"),
			LastEventReceivedAt: h.time("lastEventReceivedAt"),
			LastEventType:       h.text("lastEventType"),
			LastError:           h.text("lastError"),
			LastErrorAt:         h.time("lastErrorAt"),
		}
	}
	return s
}
