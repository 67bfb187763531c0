package outbox

import "context"

type metadataKey struct{}

// MetadataFromContext returns the metadata of the event that is being
// delivered. It works in the contexts of [Config].Hook, Consent and Resolver.
// The map must not be changed.
func MetadataFromContext(ctx context.Context) map[string]string {
	metadata, _ := ctx.Value(metadataKey{}).(map[string]string)
	return metadata
}

func withMetadata(ctx context.Context, metadata map[string]string) context.Context {
	if len(metadata) == 0 {
		return ctx
	}
	return context.WithValue(ctx, metadataKey{}, metadata)
}
