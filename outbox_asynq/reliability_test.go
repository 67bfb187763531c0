package asynqoutbox_test

import (
	"testing"

	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
)

// TestOutbox_reliability holds this queue to docs/reliability.md.
func TestOutbox_reliability(t *testing.T) {
	t.Parallel()
	client := connect(t, testserver.Redis(t))
	reliabilitytest.Run(t, func(t testing.TB, cfg outbox.Config) outbox.Outbox {
		return newOutbox(t, asynqoutbox.Config{Delivery: cfg, Redis: client, Queue: newQueue(t, client), AcceptLoss: true})
	})
}
