package asynqoutbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
)

// These values are stored for an event, all in one slot of a cluster:
//
//   - the record, from Send until its outcome
//   - a marker of the identity: delivered, a dead letter, or free
//   - an entry in the index of what waits, by the time of queueing
//   - an entry in the index of each key that the event can be erased by
//
// asynq's task holds nothing but the identity. Scripts change these together;
// the task follows, and repair gives one to every record that has none.

// recordLifetime bounds how long an event can wait: far longer than any does.
const recordLifetime = 400 * 24 * time.Hour

// Markers of an identity. Behind the first character comes the fingerprint and, if
// there are warnings, "|" and their JSON; or the letter's ID, "|" and the
// fingerprint.
const (
	markDelivered = "d"
	markDead      = "x"
	markFree      = "-" // skipped, discarded or erased: a task without a record is not a loss
	markLost      = "-lost"

	freeLifetime = 24 * time.Hour
)

// storeScript stores a record, unless its identity is known. It returns "" when
// the record was stored, "w" and the stored record when that waits, or the marker.
//
// KEYS: record, marker, waiting, keys… ARGV: record, lifetime in seconds, time of
// queueing, identity.
const storeScript = `
local mark = redis.call("GET", KEYS[2])
if mark and string.sub(mark, 1, 1) ~= "-" then return mark end
local stored = redis.call("GET", KEYS[1])
if stored then return "w" .. stored end
redis.call("SET", KEYS[1], ARGV[1], "EX", ARGV[2])
redis.call("ZADD", KEYS[3], ARGV[3], ARGV[4])
for i = 4, #KEYS do
	redis.call("SADD", KEYS[i], ARGV[4])
	redis.call("EXPIRE", KEYS[i], ARGV[2])
end
if mark then redis.call("DEL", KEYS[2]) end
return ""`

// settleScript removes a record that has its outcome and marks the identity. It
// returns whether there was a record. An event that is marked as delivered without
// one is not counted again: the response to an earlier call may have been lost.
//
// With a time of queueing it changes nothing but the record of that time, and returns
// 0 if another one has taken its place, or if the event was discarded or erased.
//
// KEYS: record, marker, waiting, deliveries by hour, keys… ARGV: identity, marker,
// lifetime of the marker in seconds or 0, hour or "", first hour that counts, time
// of queueing or "".
var settleScript = redis.NewScript(`
if ARGV[6] ~= "" then
	local mark = redis.call("GET", KEYS[2])
	if mark == ARGV[2] then return 1 end
	local queued = redis.call("ZSCORE", KEYS[3], ARGV[1])
	if queued and tonumber(queued) ~= tonumber(ARGV[6]) then return 0 end
	if mark and mark ~= "` + markLost + `" and redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
end
local before = redis.call("GET", KEYS[2])
local existed = redis.call("DEL", KEYS[1])
local counted = existed == 0 and before and string.sub(before, 1, 1) == "` + markDelivered + `"
redis.call("ZREM", KEYS[3], ARGV[1])
for i = 5, #KEYS do redis.call("SREM", KEYS[i], ARGV[1]) end
if ARGV[3] == "0" then redis.call("SET", KEYS[2], ARGV[2]) else redis.call("SET", KEYS[2], ARGV[2], "EX", ARGV[3]) end
if ARGV[4] ~= "" and not counted then
	if redis.call("HINCRBY", KEYS[4], ARGV[4], 1) == 1 then
		for _, hour in ipairs(redis.call("HKEYS", KEYS[4])) do
			if tonumber(hour) < tonumber(ARGV[5]) then redis.call("HDEL", KEYS[4], hour) end
		end
	end
end
if ARGV[6] ~= "" then return 1 end
return existed`)

// replayScript stores the record of a dead letter. It returns 1 when the record is
// stored, and 0 when the event was discarded, erased, replayed, delivered or stored
// again since. The record of the letter itself is still there until its worker has
// settled it.
//
// KEYS and ARGV are those of storeScript, the letter's time of queueing, the beginning
// of the letter's marker, and its marker while it is discarded.
var replayScript = redis.NewScript(`
local mark = redis.call("GET", KEYS[2])
if mark and mark ~= ARGV[7] and string.sub(mark, 1, #ARGV[6]) ~= ARGV[6] then return 0 end
if redis.call("EXISTS", KEYS[1]) == 1 then
	local queued = redis.call("ZSCORE", KEYS[3], ARGV[4])
	if not queued or tonumber(queued) ~= tonumber(ARGV[5]) then return 0 end
end
redis.call("SET", KEYS[1], ARGV[1], "EX", ARGV[2])
redis.call("ZADD", KEYS[3], ARGV[3], ARGV[4])
for i = 4, #KEYS do
	redis.call("SADD", KEYS[i], ARGV[4])
	redis.call("EXPIRE", KEYS[i], ARGV[2])
end
redis.call("DEL", KEYS[2])
return 1`)

// freeScript frees the identity of a dead letter that is discarded, and removes its
// record if its worker has not settled it yet.
//
// KEYS: marker, record, waiting. ARGV: the beginning of the letter's marker, free
// marker, lifetime, identity, the letter's time of queueing.
var freeScript = redis.NewScript(`
local mark = redis.call("GET", KEYS[1])
local queued = redis.call("ZSCORE", KEYS[3], ARGV[4])
if queued and tonumber(queued) == tonumber(ARGV[5]) then
	redis.call("DEL", KEYS[2])
	redis.call("ZREM", KEYS[3], ARGV[4])
elseif not mark or string.sub(mark, 1, #ARGV[1]) ~= ARGV[1] then
	return 0
end
redis.call("SET", KEYS[1], ARGV[2], "EX", ARGV[3])
return 1`)

// discardedScript frees the identity of a dead letter that is deleted. Until then a
// replay finds it, as after a crash.
//
// KEYS: marker. ARGV: marker while it is discarded, free marker, lifetime.
var discardedScript = redis.NewScript(`
if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("SET", KEYS[1], ARGV[2], "EX", ARGV[3]) end
return 1`)

// forgetScript removes an identity without a record from the index of a key.
//
// KEYS: record, key. ARGV: identity.
var forgetScript = redis.NewScript(`
if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
return redis.call("SREM", KEYS[2], ARGV[1])`)

// progressScript stores the progress of an event, unless another record has taken
// its place or none is left.
//
// KEYS: record, waiting. ARGV: record, identity, time of queueing.
var progressScript = redis.NewScript(`
local queued = redis.call("ZSCORE", KEYS[2], ARGV[2])
if queued and tonumber(queued) ~= tonumber(ARGV[3]) then return 0 end
if not redis.call("SET", KEYS[1], ARGV[1], "XX", "KEEPTTL") then return 0 end
return 1`)

// deleteScript deletes a dead letter that is in the list.
//
// KEYS: list, task. ARGV: the end at which to begin, ID.
var deleteScript = redis.NewScript(`
if redis.call("LREM", KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
return redis.call("DEL", KEYS[2])`)

func seconds(d time.Duration) int64 { return max(1, int64(d/time.Second)) }

// storeArgs returns keys and arguments of storeScript and replayScript.
func (o *Outbox) storeArgs(r outbox.Record) (keys []string, args []any, err error) {
	value, err := json.Marshal(r)
	if err != nil {
		return nil, nil, fmt.Errorf("asynqoutbox: the event cannot be stored as JSON: %w", err)
	}
	keys = []string{o.live.record(r.Identity), o.live.marker(r.Identity), o.live.waiting()}
	for _, hash := range r.Keys {
		keys = append(keys, o.live.events(hash))
	}
	return keys, []any{value, seconds(recordLifetime), r.QueuedAt.UnixMilli(), r.Identity}, nil
}

func readStored(reply string) storedAs {
	switch {
	case reply == "":
		return storedAs{fresh: true}
	case reply[0] == 'w':
		r, _ := decodeRecord([]byte(reply[1:])) // without a fingerprint nothing is compared
		return storedAs{waits: true, fingerprint: r.Fingerprint}
	case strings.HasPrefix(reply, markDead):
		_, fingerprint, _ := strings.Cut(reply, "|")
		return storedAs{fingerprint: fingerprint}
	}
	fingerprint, _, _ := strings.Cut(strings.TrimPrefix(reply, markDelivered), "|")
	return storedAs{fingerprint: fingerprint}
}

// deliveredMark returns the marker of a delivered event.
func deliveredMark(r outbox.Record, outcome outbox.Outcome) string {
	mark := markDelivered + r.Fingerprint
	if len(outcome.Warnings) == 0 {
		return mark
	}
	warnings, err := json.Marshal(outcome.Warnings)
	if err != nil {
		return mark
	}
	return mark + "|" + string(warnings)
}

// warningsOf returns the warnings in the marker of a delivered event.
func warningsOf(mark string) (warnings []string) {
	_, kept, _ := strings.Cut(mark, "|")
	_ = json.Unmarshal([]byte(kept), &warnings) // most have none
	return warnings
}

// settle removes the record of an event that has its outcome, also one that was
// stored since.
func (o *Outbox) settle(ctx context.Context, r outbox.Record, mark string, lifetime time.Duration) (existed bool, err error) {
	return o.runSettle(ctx, r, mark, lifetime, "")
}

// settleOwn removes the record r that has its outcome. It reports whether the
// outcome holds: while r was delivered, its dead letter may have been replayed or
// discarded, or the event erased, and each of them may have been followed by a new
// Send.
func (o *Outbox) settleOwn(ctx context.Context, r outbox.Record, mark string, lifetime time.Duration) (settled bool, err error) {
	return o.runSettle(ctx, r, mark, lifetime, strconv.FormatInt(r.QueuedAt.UnixMilli(), 10))
}

func (o *Outbox) runSettle(ctx context.Context, r outbox.Record, mark string, lifetime time.Duration, queued string) (bool, error) {
	keys := []string{o.live.record(r.Identity), o.live.marker(r.Identity), o.live.waiting(), o.live.deliveries()}
	for _, hash := range r.Keys {
		keys = append(keys, o.live.events(hash))
	}
	hour, ttl := "", int64(0)
	if strings.HasPrefix(mark, markDelivered) {
		hour = fmt.Sprint(time.Now().Unix() / 3600)
	}
	if lifetime > 0 {
		ttl = seconds(lifetime)
	}
	n, err := settleScript.Run(ctx, o.cfg.Redis, keys, r.Identity, mark, ttl, hour, o.firstHour(), queued).Int()
	if err != nil {
		return false, fmt.Errorf("asynqoutbox: Redis could not note the event's outcome: %w", err)
	}
	return n == 1, nil
}

// firstHour is the first hour of the deduplication window.
func (o *Outbox) firstHour() int64 {
	return time.Now().Add(-o.cfg.DeduplicationWindow).Unix() / 3600
}

// loaded is what is stored of a task's event.
type loaded struct {
	record outbox.Record
	found  bool   // the record is there
	mark   string // of an event that has had its outcome, or ""
}

// loadRecord reads what is stored of an identity.
func (o *Outbox) loadRecord(ctx context.Context, identity string) (loaded, error) {
	values, err := o.cfg.Redis.MGet(ctx, o.live.record(identity), o.live.marker(identity)).Result()
	if err != nil {
		return loaded{}, fmt.Errorf("asynqoutbox: Redis could not read the event: %w", err)
	}
	text, found := values[0].(string)
	mark, _ := values[1].(string)
	l := loaded{found: found, mark: mark}
	if found {
		if l.record, err = decodeRecord([]byte(text)); err != nil {
			// The delivery reports the damage.
			l.record = outbox.Record{Identity: identity, Payload: []byte(text)}
			queued, err := o.cfg.Redis.ZScore(ctx, o.live.waiting(), identity).Result()
			if unlessNil(err) != nil {
				return loaded{}, fmt.Errorf("asynqoutbox: Redis could not read the event: %w", err)
			}
			l.record.QueuedAt = time.UnixMilli(int64(queued)).UTC()
		}
	}
	return l, nil
}

// storeProgress stores the progress of a delivery, unless the event was erased
// meanwhile.
func (o *Outbox) storeProgress(ctx context.Context, r outbox.Record, p *outbox.Progress) error {
	if p == nil {
		return nil
	}
	r.Progress = *p
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return progressScript.Run(ctx, o.cfg.Redis, []string{o.live.record(r.Identity), o.live.waiting()},
		value, r.Identity, r.QueuedAt.UnixMilli()).Err()
}

func decodeRecord(value []byte) (outbox.Record, error) {
	var r outbox.Record
	err := json.Unmarshal(value, &r)
	return r, err
}

// skip keeps what remains of a skipped event for the deduplication window.
func (o *Outbox) skip(ctx context.Context, skip *outbox.Skip) error {
	if skip == nil {
		return nil
	}
	value, err := json.Marshal(skip)
	if err != nil {
		return err
	}
	pipe := o.cfg.Redis.Pipeline()
	pipe.ZAdd(ctx, o.live.skips(), redis.Z{Score: float64(skip.At.UnixMilli()), Member: value})
	o.trimSkips(ctx, pipe)
	_, err = pipe.Exec(ctx)
	return err
}

func (o *Outbox) trimSkips(ctx context.Context, pipe redis.Pipeliner) {
	first := time.Now().Add(-o.cfg.DeduplicationWindow).UnixMilli()
	pipe.ZRemRangeByScore(ctx, o.live.skips(), "-inf", fmt.Sprintf("(%d", first))
	pipe.Expire(ctx, o.live.skips(), o.cfg.DeduplicationWindow)
}

// Erase implements [outbox.Outbox].
func (o *Outbox) Erase(ctx context.Context, key clickid.Key) (int, error) {
	hash, err := outbox.KeyHash(key)
	if err != nil {
		return 0, err
	}
	for erased := 0; ; {
		waiting, err := o.eraseWaiting(ctx, hash)
		erased += waiting
		if err == nil {
			var dead int
			dead, err = o.eraseDead(ctx, hash)
			erased += dead
		}
		replayed := 0
		if err == nil {
			replayed, err = o.eraseWaiting(ctx, hash) // a dead letter at the first look
			erased += replayed
		}
		if err != nil || replayed == 0 {
			return erased, err
		}
	}
}

// eraseWaiting deletes the events of a key from the queue and returns their number.
func (o *Outbox) eraseWaiting(ctx context.Context, hash string) (erased int, err error) {
	identities, err := o.cfg.Redis.SMembers(ctx, o.live.events(hash)).Result()
	if err != nil {
		return 0, fmt.Errorf("asynqoutbox: listing the events of the key: %w", err)
	}
	for _, identity := range identities {
		waited, err := o.eraseEvent(ctx, identity, hash)
		if err != nil {
			return erased, fmt.Errorf("asynqoutbox: erasing an event: %w", err)
		}
		if waited {
			erased++
		}
	}
	return erased, nil
}

// eraseEvent deletes an event from the queue and reports whether it was there. A
// worker that has its task finds no event, unless it has already read it.
func (o *Outbox) eraseEvent(ctx context.Context, identity, hash string) (bool, error) {
	for {
		l, err := o.loadRecord(ctx, identity)
		if err != nil {
			return false, err
		}
		if !l.found {
			return false, forgetScript.Run(ctx, o.cfg.Redis, []string{o.live.record(identity), o.live.events(hash)}, identity).Err()
		}
		l.record.Identity = identity
		// Another record may have taken its place, such as that of a replay.
		erased, err := o.settleOwn(ctx, l.record, markFree, freeLifetime)
		if err != nil {
			return false, err
		}
		if erased {
			return true, o.deleteTask(identity)
		}
	}
}

// eraseDead deletes the dead letters of a key and returns their number.
func (o *Outbox) eraseDead(ctx context.Context, hash string) (int, error) {
	tasks, err := o.deadTasks(ctx)
	if err != nil {
		return 0, err
	}
	var ids []string
	for _, task := range tasks {
		var l letter
		if json.Unmarshal(task.Payload, &l) == nil && slices.Contains(l.Record.Keys, hash) {
			ids = append(ids, task.ID)
		}
	}
	return o.Discard(ctx, ids...)
}
