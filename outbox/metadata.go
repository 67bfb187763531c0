package outbox

import "context"

// delivered is the metadata in the context of a delivery or of a request.
type delivered struct {
	event   map[string]string
	request []map[string]string
}

type metadataKey struct{}

// MetadataFromContext returns the metadata of the event that is being
// delivered, or nil. It works in the contexts of [Config].Hook, Consent and
// Resolver. In that of a request it returns nil, unless the request has only
// one event. The map must not be changed.
func MetadataFromContext(ctx context.Context) map[string]string {
	d, _ := ctx.Value(metadataKey{}).(delivered)
	return d.event
}

// MetadataOfRequest returns the metadata of the events in a request to the
// platform, without events that have none. It works in the context of
// [Destination].Deliver, which is also that of the hook of a capi.Config. List
// and maps must not be changed.
func MetadataOfRequest(ctx context.Context) []map[string]string {
	d, _ := ctx.Value(metadataKey{}).(delivered)
	return d.request
}

// withMetadata returns the context for the delivery of an event.
func withMetadata(ctx context.Context, metadata map[string]string) context.Context {
	if len(metadata) == 0 {
		return ctx
	}
	return context.WithValue(ctx, metadataKey{}, delivered{event: metadata})
}

// withRequest returns the context for the request of a batch. ctx is that of
// its first event.
func withRequest(ctx context.Context, batch []*sending) context.Context {
	var d delivered
	for _, s := range batch {
		if len(s.metadata) > 0 {
			d.request = append(d.request, s.metadata)
		}
	}
	if len(d.request) == 0 {
		return ctx
	}
	if len(batch) == 1 {
		d.event = d.request[0]
	}
	return context.WithValue(ctx, metadataKey{}, d)
}
