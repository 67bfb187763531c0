package river_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

func TestOutbox_Migrate_concurrent(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	pool.Config().MaxConns = 20
	const instances = 6
	failures := make([]error, instances)
	var group sync.WaitGroup
	for i := range instances {
		group.Add(1)
		go func() {
			defer group.Done()
			own := newPool(t, pool.Config().ConnString())
			ob, err := riveroutbox.New(riverpgxv5.New(own), riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
			if err == nil {
				err = ob.Migrate(within(t, time.Minute))
			}
			failures[i] = err
		}()
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
	ob := newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	start(t, ob)
	send(t, ob, "A", 3)
	await(t, platform, 3)
}

func TestOutbox_Migrate_schema(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	pool := sharedPool(t)
	newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	ctx := within(t, time.Minute)
	for _, row := range []struct {
		schema string
		tables bool
	}{{"public", false}, {riveroutbox.DefaultSchema, true}} {
		n, err := count(ctx, pool, "SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $1", row.schema)
		if err != nil || (n > 0) != row.tables {
			t.Errorf("%s holds %d objects: %v", row.schema, n, err)
		}
	}
}

func TestOutbox_notMigrated(t *testing.T) {
	t.Parallel()
	platform := clickidtest.NewServer(t)
	ob, err := riveroutbox.New(riverpgxv5.New(sharedPool(t)), riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, platform)}})
	if err != nil {
		t.Fatal(err)
	}
	for what, act := range map[string]func(context.Context) error{
		"Start": ob.Start,
		"Send": func(ctx context.Context) error {
			_, err := ob.Send(ctx, conversion("A"))
			return err
		},
	} {
		if err := act(within(t, time.Minute)); err == nil || !strings.Contains(err.Error(), "Migrate") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
