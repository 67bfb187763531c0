package capi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/clickid/clickid"
)

// DryRun returns a sender that validates events as c does and writes the
// requests to w instead of sending them: method, URL, headers and JSON, without
// the API key, click IDs and user identities. It calls the client's Resolver.
// The verdict of an event that would be sent is Ready.
func (c *Client) DryRun(w io.Writer) clickid.Sender { return &dryRun{client: c, w: w} }

type dryRun struct {
	client *Client
	mu     sync.Mutex
	w      io.Writer
}

// Send writes the requests. The events fail if w returns an error.
func (d *dryRun) Send(ctx context.Context, events ...clickid.Event) (clickid.Report, error) {
	ctx, cancel := d.client.bounded(ctx)
	defer cancel()
	items := make([]clickid.QueuedEvent, len(events))
	for i := range events {
		items[i].Event = events[i]
	}
	results, ready := d.client.prepare(ctx, items)
	var out bytes.Buffer
	for _, result := range results {
		if result.Verdict != clickid.VerdictReady {
			fmt.Fprintf(&out, "# not sent (%v)\n\n", result.Verdict)
		}
	}
	unique, _ := withoutDuplicates(ready)
	for _, batch := range d.client.plan(unique) {
		d.client.show(&out, batch)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.w.Write(out.Bytes()); err != nil {
		for _, o := range ready {
			o.fail(fmt.Errorf("capi: write dry run: %w", err))
		}
	}
	report := newReport(results, ready)
	return report, report.Err()
}

// show writes a request with placeholders for secrets and personal data.
func (c *Client) show(out *bytes.Buffer, batch []*outgoing) {
	fmt.Fprintf(out, "POST %s\n", c.endpoint)
	header := c.header()
	header.Set("Authorization", "Bearer "+redacted)
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(out, "%s: %s\n", name, header.Get(name))
	}
	out.WriteString("\n")
	real, masked := make([][]byte, len(batch)), make([][]byte, len(batch))
	for i, o := range batch {
		real[i], masked[i] = o.data, c.masked(o.event)
	}
	// The idempotency key is that of the real events.
	var key string
	c.cfg.Dialect.request(real, func(content []byte) string {
		key = c.idempotencyKey(content, 0)
		return key
	})
	body := c.cfg.Dialect.request(masked, func([]byte) string { return key })
	// The body is our own encoder's: indenting it cannot fail.
	_ = json.Indent(out, body, "", "  ")
	out.WriteString("\n\n")
}

// masked returns the encoded event with placeholders.
func (c *Client) masked(e *clickid.Event) []byte {
	page, _ := sentURL(e.PageURL, c.cfg.KeepPageQuery)
	hidden := *e
	mask(&hidden.Click.ID)
	mask(&hidden.User.ExternalID)
	mask(&hidden.User.HashedEmail)
	mask(&hidden.User.HashedPhone)
	mask(&hidden.User.IP)
	mask(&hidden.User.UserAgent)
	mask(&hidden.User.GPP)
	hidden.User.IDs = slices.Clone(e.User.IDs)
	for i := range hidden.User.IDs {
		mask(&hidden.User.IDs[i].Value)
	}
	// the event was encoded before, so this does not fail
	wire, _ := c.cfg.Dialect.encode(&hidden, page)
	return wire.data
}

func mask(s *string) {
	if *s != "" {
		*s = redacted
	}
}
