package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/internal/interleavetest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	asynqoutbox "github.com/clickid/clickid/outbox_asynq"
)

// TestTable_interleaved stops the operations of an outbox table that feeds asynq at
// their statements in the database.
func TestTable_interleaved(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		options, err := redis.ParseURL(testserver.Redis(t))
		require.NoError(t, err)
		options.ContextTimeoutEnabled = true
		client := redis.NewClient(options)
		name := testserver.Name()
		t.Cleanup(func() {
			for _, key := range keysOf(t, client, name) {
				client.Del(context.Background(), key)
			}
			client.SRem(context.Background(), "asynq:queues", name, name+"-dead")
			_ = client.Close()
		})
		db := d.open(t)
		var table *outbox.Table
		interleavetest.Run(t, interleavetest.Backend{
			Open: func(t testing.TB, cfg outbox.Config, gate *interleavetest.Gate) outbox.Drainer {
				if table == nil {
					table = d.tableOf(t, db, cfg.Destination)
				}
				queue, err := asynqoutbox.New(asynqoutbox.Config{
					Delivery: cfg, Redis: client, Queue: name, AcceptLoss: true, PollInterval: 20 * time.Millisecond,
				})
				require.NoError(t, err)
				relay := outbox.RelayConfig{DB: db, Table: table, ConfirmAfter: time.Nanosecond}
				if gate != nil {
					relay.DB = interleavetest.OpenDB(t, d.driver, d.dsn, gate, func(string) bool { return true })
				}
				ob, err := outbox.NewTableOutbox(queue, relay)
				require.NoError(t, err)
				return ob
			},
			Stored: func(t testing.TB) string {
				var all []string
				for _, table := range []string{"clickid_outbox", "clickid_outbox_moved"} {
					rows, err := db.Query("SELECT erase_keys FROM " + table)
					require.NoError(t, err)
					for rows.Next() {
						var keys string
						require.NoError(t, rows.Scan(&keys))
						all = append(all, table+" "+keys)
					}
					require.NoError(t, rows.Close())
				}
				for _, key := range keysOf(t, client, name) {
					all = append(all, key+" "+client.Get(t.Context(), key).Val(), fmt.Sprint(client.HGetAll(t.Context(), key).Val()))
				}
				return strings.Join(all, "\n")
			},
			Unaware: true,
		})
	})
}

// keysOf returns the keys of a queue in Redis.
func keysOf(t testing.TB, client *redis.Client, queue string) []string {
	t.Helper()
	var all []string
	for _, name := range []string{queue, queue + "-dead"} {
		keys := client.Scan(context.Background(), 0, "*{"+name+"}*", 1000).Iterator()
		for keys.Next(context.Background()) {
			all = append(all, keys.Val())
		}
		require.NoError(t, keys.Err())
	}
	return slices.Compact(all)
}
