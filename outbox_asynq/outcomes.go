package asynqoutbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/clickid/clickid/outbox"
	"github.com/redis/go-redis/v9"
)

var _ outbox.Volatile = (*Outbox)(nil)

// Outcomes implements [outbox.Volatile].
func (o *Outbox) Outcomes(ctx context.Context, identities []string) (map[string]bool, error) {
	// In a transaction: a dead letter that is replayed between the two would seem to be
	// forgotten.
	pipe := o.cfg.Redis.TxPipeline()
	records := make([]*redis.IntCmd, len(identities))
	markers := make([]*redis.StringCmd, len(identities))
	for i, identity := range identities {
		records[i] = pipe.Exists(ctx, o.live.record(identity))
		markers[i] = pipe.Get(ctx, o.live.marker(identity))
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	ended := make(map[string]bool, len(identities))
	for i, identity := range identities {
		if err := errors.Join(records[i].Err(), unlessNil(markers[i].Err())); err != nil {
			return nil, fmt.Errorf("asynqoutbox: reading outcomes: %w", err)
		}
		switch marker := markers[i].Val(); {
		case records[i].Val() == 1:
			ended[identity] = false
		case marker != "" && marker != markLost:
			ended[identity] = true
		}
	}
	if len(ended) < len(identities) {
		return ended, o.announce(ctx)
	}
	return ended, nil
}

// announce registers the queues with asynq, whose inspector finds no other. A
// client registers a queue once, and the server may have forgotten it since.
func (o *Outbox) announce(ctx context.Context) error {
	if err := o.cfg.Redis.SAdd(ctx, "asynq:queues", o.live.name, o.dead.name).Err(); err != nil {
		return fmt.Errorf("asynqoutbox: registering the queues: %w", err)
	}
	return nil
}

// unlessNil returns err unless it means that a key does not exist.
func unlessNil(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
