package asynqoutbox_test

import (
	"testing"

	"github.com/clickid/clickid/internal/networktest"
	"github.com/clickid/clickid/internal/reliabilitytest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
)

// TestOutbox_reliability holds this queue to docs/reliability.md.
func TestOutbox_reliability(t *testing.T) {
	t.Parallel()
	reliabilitytest.Run(t, sharedServer(t))
}

// TestNetwork_faults delivers from this queue through a network with faults.
func TestNetwork_faults(t *testing.T) {
	t.Parallel()
	open := sharedServer(t)
	networktest.TestFaults(t, func(t *testing.T, cfg outbox.Config) outbox.Outbox { return open(t, cfg) })
}

// sharedServer opens outboxes with queues of their own on the shared server.
func sharedServer(t testing.TB) func(t testing.TB, cfg outbox.Config) outbox.Outbox {
	client := connect(t, testserver.Redis(t))
	return func(t testing.TB, cfg outbox.Config) outbox.Outbox {
		return newOutbox(t, asynqoutbox.Config{Delivery: cfg, Redis: client, Queue: newQueue(t, client), AcceptLoss: true})
	}
}
