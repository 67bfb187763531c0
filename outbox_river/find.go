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
	for look := 1; ; look++ {
		jobs, complete, err := o.look(ctx, search)
		if err != nil {
			return nil, wrap("finding an event", err)
		}
		if !complete && look < maxLooks {
			continue
		}
		var entries []outbox.Entry
		for _, job := range jobs {
			if entry, ok := o.entry(search, job); ok {
				entries = append(entries, entry)
			}
		}
		return entries, nil
	}
}

// maxLooks bounds how often Find looks again.
const maxLooks = 5

// look returns the jobs of a search. They are not complete if a job was removed while
// they were read: a replay gives a dead letter a new job.
func (o *Outbox[TTx]) look(ctx context.Context, search outbox.Search) (jobs []*rivertype.JobRow, complete bool, err error) {
	ids, err := o.table.concerned(ctx, o.queue, search)
	if err != nil {
		return nil, false, err
	}
	for part := range slices.Chunk(ids, pageSize) {
		list, err := o.client.JobList(ctx, river.NewJobListParams().IDs(part...).First(pageSize))
		if err != nil {
			return nil, false, err
		}
		jobs = append(jobs, list.Jobs...)
	}
	return jobs, len(jobs) == len(ids), nil
}

// concerned returns the jobs of a queue that have one of the identities, the key
// or the skip of a search. Each part has an index.
func (t jobTable) concerned(ctx context.Context, queue string, search outbox.Search) ([]int64, error) {
	var keys []string
	for _, identity := range slices.Sorted(maps.Keys(search.Identities)) {
		keys = append(keys, hex.EncodeToString(uniqueKey(identity)))
	}
	uniques, skipID := strings.Join(keys, ","), outbox.VisibleID(search.EventID)
	if !t.postgres {
		list, _ := json.Marshal(keys) // strings
		return t.ids(ctx, eventOf+" IN ($2, $3) OR unique_key IN (SELECT unhex(value) FROM json_each($4)) AND "+t.hasKey(),
			queue, search.Key, skipID, string(list))
	}
	skip, _ := json.Marshal(map[string]any{skipKey: map[string]string{"id": skipID}}) // strings
	return t.ids(ctx, "metadata @> $2::text::jsonb OR metadata @> $3::text::jsonb"+
		" OR unique_key = ANY (ARRAY(SELECT decode(key, 'hex') FROM unnest(string_to_array($4::text, ',')) AS key)) AND "+t.hasKey(),
		queue, withKey(search.Key), string(skip), uniques)
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
