package clickidotel_test

import (
	"log"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	clickidotel "github.com/clickid/clickid/otel"
	"github.com/clickid/clickid/outbox"
)

// One Telemetry observes tracker, client and outbox. Its metrics and spans go to
// the global providers.
func Example() {
	telemetry, err := clickidotel.New(clickidotel.Config{})
	if err != nil {
		log.Fatal(err)
	}
	tracker, err := clickid.New(clickid.Config{
		Store: telemetry.Store(clickid.NewMemoryStore()), // Redis or SQL in production
		Hook:  telemetry.OnCapture,
	})
	if err != nil {
		log.Fatal(err)
	}
	client, err := capi.New(capi.Config{
		APIKey:   "scope3_example",
		Dialect:  capi.LogEvent{EventSourceID: "my-shop"},
		Resolver: tracker,
		Hook:     telemetry.OnAttempt,
	})
	if err != nil {
		log.Fatal(err)
	}
	ob, err := outbox.NewMemory(outbox.MemoryConfig{ // River, SQLite or asynq in production
		Delivery:   outbox.Config{Destination: client, Metadata: telemetry.Metadata, Hook: telemetry.OnOutbox},
		AcceptLoss: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	stop, err := telemetry.Watch("orders", ob)
	if err != nil {
		log.Fatal(err)
	}
	defer stop()

	sender := telemetry.Sender(ob)
	_ = sender // pass it to clickid.Convert
	// Output:
}
