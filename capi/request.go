package capi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// withoutDuplicates removes events with the identity of an earlier one. The
// platform would not count them.
func withoutDuplicates(events []*outgoing) (unique []*outgoing, duplicates map[*outgoing]*outgoing) {
	type identity struct{ kind, id string }
	first := make(map[identity]*outgoing, len(events))
	for _, o := range events {
		id := identity{o.kind, o.id}
		if earlier, ok := first[id]; ok {
			if duplicates == nil {
				duplicates = make(map[*outgoing]*outgoing)
			}
			duplicates[o] = earlier
			continue
		}
		first[id] = o
		unique = append(unique, o)
	}
	return unique, duplicates
}

// plan divides the events into requests within the limits of count and bytes.
// No request has two events of the same ID, since partial failures identify
// events only by their ID.
func (c *Client) plan(events []*outgoing) [][]*outgoing {
	var batches [][]*outgoing
	for len(events) > 0 {
		var batch, later []*outgoing
		ids := make(map[string]bool)
		size, taken := c.overhead, 0
		for _, o := range events {
			if len(batch) == c.cfg.MaxBatchEvents || size+len(o.data) > c.cfg.MaxBatchBytes && len(batch) > 0 {
				break
			}
			taken++
			if ids[o.id] {
				later = append(later, o)
				continue
			}
			ids[o.id] = true
			batch = append(batch, o)
			size += len(o.data) + len(",")
		}
		batches = append(batches, batch)
		if events = events[taken:]; len(later) > 0 {
			events = append(later, events...)
		}
	}
	return batches
}

// requestOf returns the body of a batch's request.
func (c *Client) requestOf(batch []*outgoing) []byte {
	events, responses := make([][]byte, len(batch)), 0
	for i, o := range batch {
		events[i] = o.data
		responses += o.responses
	}
	return c.cfg.Dialect.request(events, func(content []byte) string { return c.idempotencyKey(content, responses) })
}

// idempotencyKey derives the key of a request from its endpoint, its content
// and the number of verdicts on its events. A retry has the same key. Another
// destination has another key, and so has a request after a verdict, since the
// platform would repeat its response to a known key. The derivation uses the
// API key, so that the idempotency key reveals nothing about the content.
func (c *Client) idempotencyKey(content []byte, responses int) string {
	mac := hmac.New(sha256.New, []byte(c.cfg.APIKey))
	mac.Write([]byte(c.endpoint))
	mac.Write([]byte{0})
	mac.Write(strconv.AppendInt(nil, int64(responses), 10))
	mac.Write([]byte{0})
	mac.Write(content)
	return hex.EncodeToString(mac.Sum(nil))
}
