package riveroutbox

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Find returns the state of the events with an ID. See [outbox.Outbox].
func (o *Outbox[TTx]) Find(ctx context.Context, eventID string, types ...clickid.EventType) ([]outbox.Entry, error) {
	search := o.delivery.Search(eventID, types...)
	where, args := o.concerns(search)
	if o.table.postgres {
		entries, err := o.find(ctx, search, where, args)
		return entries, wrap("finding an event", err)
	}
	var all []outbox.Entry
	err := o.inParts(ctx, func(after, until int64) error {
		part := river.NamedArgs{"after": after, "until": until}
		maps.Copy(part, args)
		entries, err := o.find(ctx, search, "id > @after AND id <= @until AND "+where, part)
		all = append(all, entries...)
		return err
	})
	return all, wrap("finding an event", err)
}

// concerns returns the condition that a job has one of the identities, the key or
// the skip of a search. On PostgreSQL, each part has an index.
func (o *Outbox[TTx]) concerns(search outbox.Search) (where string, args river.NamedArgs) {
	where, args = o.holdsKey(search.Key)
	identities := slices.Sorted(maps.Keys(search.Identities))
	if !o.table.postgres {
		args["identities"] = strings.Join(identities, ",")
		return "(" + where + ` OR instr(@identities, args ->> '$.identity') > 0)`, args
	}
	keys := make([]string, len(identities))
	for i, identity := range identities {
		keys[i] = hex.EncodeToString(uniqueKey(identity))
	}
	skip, _ := json.Marshal(map[string]any{skipKey: map[string]string{"id": outbox.VisibleID(search.EventID)}}) // strings
	args["skip"], args["uniques"] = string(skip), strings.Join(keys, ",")
	return where + ` OR metadata @> @skip::jsonb
		OR unique_key = ANY (ARRAY(SELECT decode(key, 'hex') FROM unnest(string_to_array(@uniques::text, ',')) AS key)) AND ` + o.table.hasKey(), args
}

func (o *Outbox[TTx]) find(ctx context.Context, search outbox.Search, where string, args river.NamedArgs) ([]outbox.Entry, error) {
	params := river.NewJobListParams().Queues(o.queue).Where("("+where+")", args).First(pageSize)
	var entries []outbox.Entry
	for {
		list, err := o.client.JobList(ctx, params)
		if err != nil {
			return nil, err
		}
		for _, job := range list.Jobs {
			if entry, ok := o.entry(search, job); ok {
				entries = append(entries, entry)
			}
		}
		if len(list.Jobs) < pageSize {
			return entries, nil
		}
		params = params.After(list.LastCursor)
	}
}

// entry returns the entry of a job. It reports false for another event, and for
// a job whose event was erased or was a duplicate.
func (o *Outbox[TTx]) entry(search outbox.Search, job *rivertype.JobRow) (outbox.Entry, bool) {
	switch {
	case slices.Contains(dead(), job.State):
		return search.Dead(deadLetter(job))
	case job.State != rivertype.JobStateCompleted:
		s, err := readJob(job)
		if err == nil && !s.ok {
			return outbox.Entry{}, false
		}
		s.record.Identity = identityOf(job)
		if s.record.QueuedAt.IsZero() {
			s.record.QueuedAt = job.CreatedAt
		}
		return search.Queued(s.record)
	}
	var metadata struct {
		Skip     *outbox.Skip `json:"clickid_skip"`
		Warnings []string     `json:"clickid_warnings"`
	}
	err := json.Unmarshal(job.Metadata, &metadata)
	switch {
	case len(job.UniqueKey) > 0:
		return search.Delivered(identityOf(job), *job.FinalizedAt, metadata.Warnings)
	case err != nil, metadata.Skip == nil:
		return outbox.Entry{}, false
	}
	return search.Skipped(*metadata.Skip)
}

// identityOf returns the identity in a job's arguments.
func identityOf(job *rivertype.JobRow) string {
	var args jobArgs
	_ = json.Unmarshal(job.EncodedArgs, &args) // a damaged job has none
	return args.Identity
}
