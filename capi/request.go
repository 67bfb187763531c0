package capi

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strconv"

	"github.com/clickid/clickid/internal/firstof"
)

// withoutDuplicates removes events with the identity of an earlier one. The
// platform would not count them. It counts the namesakes of the others.
func withoutDuplicates(events []*outgoing) (unique []*outgoing, duplicates map[*outgoing]*outgoing) {
	type identity struct{ kind, id string }
	byID := firstof.New(len(events))
	idAt := func(i int) string { return events[i].id }
	var others map[identity]*outgoing // of the same ID as an earlier event, and another type
	var count map[string]int          // of these by ID
	unique = events
	for i, o := range events {
		earlier := events[byID.Add(i, o.id, idAt)]
		if earlier.kind != o.kind {
			if others == nil {
				others, count = make(map[identity]*outgoing), make(map[string]int)
			}
			same := identity{o.kind, o.id}
			if earlier = others[same]; earlier == nil {
				earlier, others[same] = o, o
				count[o.id]++
				o.namesakes = count[o.id]
			}
		}
		if earlier == o {
			if duplicates != nil {
				unique = append(unique, o)
			}
			continue
		}
		if duplicates == nil {
			duplicates, unique = make(map[*outgoing]*outgoing), slices.Clone(events[:i])
		}
		duplicates[o] = earlier
	}
	return unique, duplicates
}

// plan divides the events into requests within the limits of count and bytes.
// No request has two events of the same ID, since partial failures identify
// events only by their ID: the first events of all IDs come first, then the
// second ones.
func (c *Client) plan(events []*outgoing) [][]*outgoing {
	byNamesakes := func(a, b *outgoing) int { return cmp.Compare(a.namesakes, b.namesakes) }
	if !slices.IsSortedFunc(events, byNamesakes) {
		events = slices.Clone(events)
		slices.SortStableFunc(events, byNamesakes)
	}
	var batches [][]*outgoing
	first, size := 0, c.overhead
	for i, o := range events {
		if i > first && (i-first == c.cfg.MaxBatchEvents || size+len(o.data) > c.cfg.MaxBatchBytes || o.namesakes != events[first].namesakes) {
			batches = append(batches, events[first:i])
			first, size = i, c.overhead
		}
		size += len(o.data) + len(",")
	}
	if first < len(events) {
		batches = append(batches, events[first:])
	}
	return batches
}

// requestOf returns the body of a batch's request.
func (c *Client) requestOf(batch []*outgoing) *body {
	b := c.cfg.Dialect.frame()
	b.events, b.size = batch, len(b.head)+len(b.tail)+(len(batch)-1)*len(comma)
	responses := 0
	for _, o := range batch {
		b.size += len(o.data)
		responses += o.responses
	}
	if len(b.key) > 0 {
		copy(b.key, c.idempotencyKey(b, responses))
	}
	return b
}

// idempotencyKey derives the key of a request from its endpoint, its content
// and the number of verdicts on its events. A retry has the same key. Another
// destination has another key, and so has a request after a verdict, since the
// platform would repeat its response to a known key. The derivation uses the
// API key, so that the idempotency key reveals nothing about the content.
func (c *Client) idempotencyKey(b *body, responses int) string {
	mac := hmac.New(sha256.New, []byte(c.cfg.APIKey))
	mac.Write([]byte(c.endpoint))
	mac.Write([]byte{0})
	mac.Write(strconv.AppendInt(nil, int64(responses), 10))
	mac.Write([]byte{0})
	content := b.reader()
	content.rest = content.rest[b.contentAt:]
	// A hash never fails. The buffer spares it a call for each event.
	_, _ = io.CopyBuffer(mac, content, make([]byte, min(b.size, 8<<10)))
	return hex.EncodeToString(mac.Sum(nil))
}
