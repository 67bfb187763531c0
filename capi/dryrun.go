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
	"github.com/clickid/clickid/internal/rawjson"
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
	results, ready := d.client.prepare(ctx, newEvents(events), func(o *outgoing, e *clickid.Event) {
		o.masked = &outgoing{wireEvent: wireEvent{data: d.client.masked(e)}}
	})
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
	// The idempotency key is that of the real events.
	masked := c.requestOf(batch)
	masked.events = make([]*outgoing, len(batch))
	for i, o := range batch {
		masked.events[i] = o.masked
	}
	body, _ := io.ReadAll(masked.reader()) // a body in memory
	// The body is our own encoder's: indenting it cannot fail.
	_ = json.Indent(out, body, "", "  ")
	out.WriteString("\n\n")
}

// masked returns the encoded event with placeholders.
func (c *Client) masked(e *clickid.Event) []byte {
	page, _ := sentURL(e.PageURL, c.cfg.KeepPageQuery)
	hidden := *e
	for _, identity := range []*string{
		&hidden.Click.ID, &hidden.Click.LandingIP, &hidden.Click.LandingUserAgent, &hidden.User.ExternalID, &hidden.User.HashedEmail,
		&hidden.User.HashedPhone, &hidden.User.HashedCustomerID, &hidden.User.ImpressionID, &hidden.User.IP, &hidden.User.UserAgent, &hidden.User.GPP,
	} {
		mask(identity)
	}
	hidden.User.IDs, hidden.User.Addresses = slices.Clone(e.User.IDs), slices.Clone(e.User.Addresses)
	for i := range hidden.User.IDs {
		mask(&hidden.User.IDs[i].Value)
	}
	for i := range hidden.User.Addresses {
		a := &hidden.User.Addresses[i]
		for _, part := range []*string{&a.HashedFirstName, &a.HashedLastName, &a.HashedStreet, &a.HashedPostalCode, &a.City, &a.State, &a.Country} {
			mask(part)
		}
	}
	var w rawjson.Writer
	c.cfg.Dialect.encode(&w, &hidden, page)
	return w.Bytes()
}

func mask(s *string) {
	if *s != "" {
		*s = redacted
	}
}
