package asynqoutbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
)

// Find implements [outbox.Outbox]. It reads all dead letters and skipped events, twice
// if it finds nothing: a dead letter may be replayed before it is read.
func (o *Outbox) Find(ctx context.Context, eventID string, types ...clickid.EventType) ([]outbox.Entry, error) {
	search := o.delivery.Search(eventID, types...)
	entries, err := o.find(ctx, search)
	if len(entries) == 0 && err == nil {
		return o.find(ctx, search)
	}
	return entries, err
}

func (o *Outbox) find(ctx context.Context, search outbox.Search) ([]outbox.Entry, error) {
	identities := slices.Collect(maps.Keys(search.Identities))
	// A refused event has another identity, but the same key.
	refused, err := o.cfg.Redis.SMembers(ctx, o.live.events(search.Key)).Result()
	if err != nil {
		return nil, fmt.Errorf("asynqoutbox: finding an event: %w", err)
	}
	identities = append(identities, refused...)
	slices.Sort(identities)
	entries, err := o.findStored(ctx, search, slices.Compact(identities))
	if err != nil {
		return nil, err
	}
	tasks, err := o.deadTasks(ctx)
	if err != nil {
		return nil, err
	}
	for _, task := range tasks {
		if entry, ok := search.Dead(readLetter(task)); ok {
			entries = append(entries, entry)
		}
	}
	skips, err := o.cfg.Redis.ZRange(ctx, o.live.skips(), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("asynqoutbox: finding an event: %w", err)
	}
	for _, value := range skips {
		var skip outbox.Skip
		if json.Unmarshal([]byte(value), &skip) != nil {
			continue
		}
		if entry, ok := search.Skipped(skip); ok {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

// findStored returns the entries of queued and delivered events.
func (o *Outbox) findStored(ctx context.Context, search outbox.Search, identities []string) ([]outbox.Entry, error) {
	pipe := o.cfg.Redis.Pipeline()
	records := make([]*redis.StringCmd, len(identities))
	markers := make([]*redis.StringCmd, len(identities))
	lifetimes := make([]*redis.DurationCmd, len(identities))
	for i, identity := range identities {
		records[i] = pipe.Get(ctx, o.live.record(identity))
		markers[i] = pipe.Get(ctx, o.live.marker(identity))
		lifetimes[i] = pipe.PTTL(ctx, o.live.marker(identity))
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	var entries []outbox.Entry
	for i, identity := range identities {
		if err := errors.Join(unlessNil(records[i].Err()), unlessNil(markers[i].Err()), lifetimes[i].Err()); err != nil {
			return nil, fmt.Errorf("asynqoutbox: finding an event: %w", err)
		}
		entry, ok := outbox.Entry{}, false
		switch {
		case records[i].Err() == nil:
			r, _ := decodeRecord([]byte(records[i].Val())) // the identity identifies a damaged one
			r.Identity = identity
			entry, ok = search.Queued(r)
		case strings.HasPrefix(markers[i].Val(), markDelivered):
			entry, ok = search.Delivered(identity, time.Now().Add(lifetimes[i].Val()-o.cfg.DeduplicationWindow), warningsOf(markers[i].Val()))
		}
		if ok {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}
