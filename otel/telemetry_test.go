package clickidotel_test

import (
	"testing"

	"github.com/clickid/clickid"
	clickidotel "github.com/clickid/clickid/otel"
	"github.com/clickid/clickid/storetest"
	"github.com/stretchr/testify/require"
)

func TestTelemetry_Store(t *testing.T) {
	t.Parallel()
	telemetry, err := clickidotel.New(clickidotel.Config{})
	require.NoError(t, err)
	storetest.Run(t, func(*testing.T) clickid.Store { return telemetry.Store(clickid.NewMemoryStore()) }, storetest.Options{})
}

func TestTelemetry_Watch(t *testing.T) {
	t.Parallel()
	telemetry, err := clickidotel.New(clickidotel.Config{})
	require.NoError(t, err)
	_, err = telemetry.Watch("none", nil)
	require.EqualError(t, err, "clickidotel: Watch needs an outbox; it is nil")
}
