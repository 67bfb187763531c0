package clickidtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"
)

// EventSource is an event source of an advertiser as the receiver keeps it.
type EventSource struct {
	// ID is its event_source_id.
	ID string `json:"event_source_id"`
	// Raw is its declaration as it was last received, or nil for one that is
	// registered by the configuration only.
	Raw json.RawMessage `json:"raw,omitempty"`
	// Archived reports that a sync with delete_missing did not name it. Its
	// events are refused.
	Archived bool `json:"archived,omitempty"`
}

// eventSource is an event source with what the list shows.
type eventSource struct {
	EventSource
	members              map[string]any // of the declaration
	created, updated     time.Time
	lastEvent, lastSeen  time.Time
	lastType, lastError  string
	lastErrorAt          time.Time
	accepted, refusedNow bool // refusedNow: the last event was refused
}

// registry holds the event sources that were synced or had events, by
// advertiser. The receiver's lock guards it.
type registry map[string][]*eventSource

// EventSources returns the event sources of an advertiser in the order of their
// registration.
func (r *Receiver) EventSources(advertiser string) []EventSource {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sources []EventSource
	for _, s := range r.sourcesOf(advertiser) {
		sources = append(sources, s.EventSource)
	}
	return sources
}

// Register registers an event source of an advertiser, or of every advertiser
// with [Any].
func (r *Receiver) Register(advertiser, id string) { r.declare(advertiser, id, false) }

// Archive refuses the events of an event source from now on. With [Any] it
// concerns every advertiser.
func (r *Receiver) Archive(advertiser, id string) { r.declare(advertiser, id, true) }

func (r *Receiver) declare(advertiser, id string, archived bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.declareLocked(advertiser, id, archived)
}

func (r *Receiver) declareLocked(advertiser, id string, archived bool) {
	concerned := []string{advertiser}
	if advertiser == Any {
		concerned = slices.AppendSeq(concerned, maps.Keys(r.sources))
	}
	now := r.cfg.Now()
	for _, advertiser := range concerned {
		sources := r.sourcesOf(advertiser)
		s := findSource(sources, id)
		if s == nil {
			s = &eventSource{EventSource: EventSource{ID: id}, created: now}
			r.sources[advertiser] = append(sources, s)
		}
		s.Archived, s.updated = archived, now
	}
	r.notify()
}

// sourcesOf returns the event sources of an advertiser. At first these are the
// ones that the configuration or [Receiver.Register] registers for every
// advertiser. The caller holds the lock.
func (r *Receiver) sourcesOf(advertiser string) []*eventSource {
	if sources, ok := r.sources[advertiser]; ok {
		return sources
	}
	var sources []*eventSource
	for _, s := range r.sources[Any] {
		shared := *s
		sources = append(sources, &shared)
	}
	for _, account := range r.cfg.Accounts {
		if !permits(account.Advertisers, advertiser) {
			continue
		}
		for _, id := range account.EventSources {
			if id != Any && findSource(sources, id) == nil {
				sources = append(sources, &eventSource{
					EventSource: EventSource{ID: id},
					created:     r.cfg.Now(), updated: r.cfg.Now(),
				})
			}
		}
	}
	if r.sources == nil {
		r.sources = make(registry)
	}
	r.sources[advertiser] = sources
	return sources
}

func findSource(sources []*eventSource, id string) *eventSource {
	for _, s := range sources {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// registered reports whether the request's account may send events to an event
// source: it is registered, for the request's advertiser if it names one, or
// the configuration allows it.
func (x *exchange) registered(source string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	known := false
	concerned := []string{x.advertiser}
	if x.advertiser == "" {
		concerned = slices.Collect(maps.Keys(x.sources))
	}
	for _, advertiser := range concerned {
		if advertiser != Any && !permits(x.account.Advertisers, advertiser) {
			continue
		}
		if s := findSource(x.sourcesOf(advertiser), source); s != nil {
			known = true
			if !s.Archived {
				return true
			}
		}
	}
	if !known && slices.Contains(x.account.EventSources, Any) {
		if advertiser := cmp.Or(x.advertiser, Any); len(x.sourcesOf(advertiser)) < maxUndeclared {
			x.declareLocked(advertiser, source, false)
		}
		return true
	}
	return !known && slices.Contains(x.account.EventSources, source)
}

// maxUndeclared bounds the event sources that are registered by their events.
const maxUndeclared = 1000

// noteHealth records what the request's events tell of their source. The caller
// holds the lock.
func (x *exchange) noteHealth() {
	for _, e := range x.events {
		if e.Dialect != DialectLogEvent || e.Outcome == OutcomeNotProcessed {
			continue
		}
		for _, advertiser := range x.advertisersOf() {
			if s := findSource(x.sourcesOf(advertiser), e.Destination); s != nil {
				s.note(e, x.cfg.Now())
			}
		}
	}
}

// advertisersOf returns the advertisers that the request can concern.
func (x *exchange) advertisersOf() []string {
	if x.advertiser != "" {
		return []string{x.advertiser}
	}
	if permits(x.account.Advertisers, Any) {
		return slices.Collect(maps.Keys(x.sources))
	}
	return x.account.Advertisers
}

func (s *eventSource) note(e *Event, now time.Time) {
	s.refusedNow = e.Outcome == OutcomeRefused
	if s.refusedNow {
		s.lastErrorAt = now
		s.lastError = "VALIDATION_ERROR"
		if len(e.Problems) > 0 {
			s.lastError = e.Problems[0].Field + " " + e.Problems[0].Message
		}
		return
	}
	s.accepted = true
	s.lastEvent, s.lastSeen, s.lastType = e.Time, now, e.Type
}

const (
	maxSyncedSources = 50
	maxTake          = 250
	defaultTake      = 50
)

var (
	currencyCode  = pattern(`^[A-Z]{3}$`)
	hostName      = pattern(`^[A-Za-z0-9*]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	mappingFields = []string{"eventIdField", "eventTypeField", "eventTimeField", "valueField", "currencyField", "orderIdField", "contentIdsField", "consentField"}
)

// syncSources registers, changes and archives event sources.
func (x *exchange) syncSources() response {
	p := problems{asked: x.asked}
	o, refusal := x.payload(&p)
	if o == nil {
		return refusal
	}
	o.require("account", "event_sources")
	if account := o.object("account"); account != nil {
		account.require("account_id")
		if id := account.text("account_id", 0); id != "" && id != x.advertiser {
			account.wrong("account_id", "must be the advertiser of the path")
		}
		account.refuseOthers()
	}
	o.boolean("delete_missing")
	sources := o.objects("event_sources")
	if list, ok := o.members["event_sources"].([]any); ok && (len(list) < 1 || len(list) > maxSyncedSources) {
		o.wrong("event_sources", "must be 1 to %d event sources", maxSyncedSources)
	}
	o.refuseOthers()
	seen := make(map[string]bool)
	for _, s := range sources {
		id := checkSource(s)
		if id != "" && seen[id] {
			s.wrong("event_source_id", "is that of an earlier event source")
		}
		seen[id] = true
	}
	if len(p.found) > 0 {
		return x.invalid(p.found)
	}
	archive, _ := o.members["delete_missing"].(bool)
	return x.data(map[string]any{"event_sources": x.register(sources, rawSources(x.body, len(sources)), archive)})
}

// checkSource checks the declaration of an event source and returns its ID.
func checkSource(o *object) (id string) {
	o.require("event_source_id")
	id = o.text("event_source_id", 255)
	o.text("name", 255)
	o.texts("event_types", 0, logEventTypes)
	o.texts("allowed_domains", 253, hostName)
	o.text("integration_platform", 128)
	o.text("test_event_code", 256)
	o.texts("value_currencies", 3, currencyCode)
	if m := o.object("mapping"); m != nil {
		for _, name := range mappingFields {
			m.text(name, 256)
		}
		m.texts("userMatchFields", 256)
		m.text("dedupeStrategy", 1024)
		m.text("notes", 2048)
		m.refuseOthers()
	}
	o.refuseOthers()
	return id
}

// rawSources returns the n event sources of a valid body as they were sent.
func rawSources(body []byte, n int) []json.RawMessage {
	var members struct {
		EventSources []json.RawMessage `json:"event_sources"`
	}
	// parse has accepted the body, so this cannot fail.
	_ = json.Unmarshal(body, &members)
	return members.EventSources[:n:n]
}

// register changes the registry and returns the result of each source.
func (x *exchange) register(declared []*object, raw []json.RawMessage, archive bool) []map[string]any {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.cfg.Now()
	sources := x.sourcesOf(x.advertiser)
	named := make(map[string]bool)
	var results []map[string]any
	for i, o := range declared {
		id := o.members["event_source_id"].(string)
		named[id] = true
		s, action := findSource(sources, id), "updated"
		switch {
		case s == nil:
			s, action = &eventSource{EventSource: EventSource{ID: id}, created: now}, "created"
			sources = append(sources, s)
		case s.Archived:
			s.Archived, action = false, "created"
		case bytes.Equal(encode(s.members), encode(o.members)):
			action = "unchanged"
		}
		if action != "unchanged" {
			s.updated, s.members, s.Raw = now, o.members, raw[i]
		}
		result := map[string]any{"event_source_id": id, "action": action}
		if action == "created" {
			result["setup"] = map[string]any{"snippet_type": "server_to_server", "instructions": "Send the events with log_event and this event_source_id."}
		}
		results = append(results, result)
	}
	for _, s := range sources {
		if archive && !named[s.ID] && !s.Archived {
			s.Archived, s.updated = true, now
			results = append(results, map[string]any{"event_source_id": s.ID, "action": "deleted"})
		}
	}
	x.sources[x.advertiser] = sources
	x.notify()
	return results
}

// listSources lists a page of the event sources that are not archived.
func (x *exchange) listSources() response {
	values, resp, ok := x.query("take", "skip")
	if !ok {
		return resp
	}
	var p problems
	take := number(&p, values, "take", 1, maxTake, defaultTake)
	skip := number(&p, values, "skip", 0, math.MaxInt32, 0)
	if len(p.found) > 0 {
		return x.invalid(p.found)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	all := []map[string]any{}
	for _, s := range x.sourcesOf(x.advertiser) {
		if !s.Archived {
			all = append(all, s.listed())
		}
	}
	from := min(skip, len(all))
	return x.data(map[string]any{"eventSources": all[from:min(from+take, len(all))], "total": len(all)})
}

// listed returns the source in the form of the list.
func (s *eventSource) listed() map[string]any {
	name, ok := s.members["name"]
	if !ok {
		name = s.ID
	}
	return map[string]any{
		"eventSourceId":       s.ID,
		"name":                name,
		"eventTypes":          s.members["event_types"],
		"allowedDomains":      s.members["allowed_domains"],
		"integrationPlatform": s.members["integration_platform"],
		"mapping":             s.members["mapping"],
		"testEventCode":       s.members["test_event_code"],
		"valueCurrencies":     s.members["value_currencies"],
		"createdAt":           timeOrNull(s.created),
		"updatedAt":           timeOrNull(s.updated),
		"health": map[string]any{
			"status":              s.status(),
			"lastEventAt":         timeOrNull(s.lastEvent),
			"lastEventReceivedAt": timeOrNull(s.lastSeen),
			"lastEventType":       textOrNull(s.lastType),
			"lastError":           textOrNull(s.lastError),
			"lastErrorAt":         timeOrNull(s.lastErrorAt),
		},
	}
}

func (s *eventSource) status() string {
	switch {
	case s.refusedNow:
		return "needs_attention"
	case s.accepted:
		return "receiving"
	}
	return "not_seen"
}
