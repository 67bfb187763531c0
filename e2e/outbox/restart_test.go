package outbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
)

// durableServers are servers with the setting that makes committed data survive their
// processes.
var durableServers = []struct {
	kind    outbox.Database
	driver  string
	start   func(testing.TB) *testserver.Server
	durable string
}{
	{outbox.DatabasePostgreSQL, "pgx", testserver.StartPostgres, "--synchronous_commit=on"},
	{outbox.DatabaseMySQL, "mysql", testserver.StartMariaDB, "--innodb-flush-log-at-trx-commit=1"},
}

// TestRelay_databaseCrash kills the database's server while a relay moves a
// backlog, and restarts it.
func TestRelay_databaseCrash(t *testing.T) {
	t.Parallel()
	for _, d := range durableServers {
		t.Run(string(d.kind), func(t *testing.T) {
			t.Parallel()
			const backlog = 1000
			server := d.start(t)
			server.Restart(d.durable)
			place := database{d.kind, d.driver, server.DSN()}
			db, q, r := place.open(t), newQueue(), &recorder{}
			table := place.table(t, db)
			write(t, table.In(db), newEvents("order", backlog)...)
			half := make(chan struct{})
			q.setFail(func(ctx context.Context, _ []outbox.Record) error {
				if q.size() == backlog/2 {
					close(half)
					q.setFail(nil)
					<-ctx.Done() // the server ends before the batch commits
				}
				return nil
			})
			startRelay(t, outbox.RelayConfig{DB: db, Table: table, Queue: q, Batch: 50, Timeout: 2 * time.Second, Hook: r.hook})
			<-half
			server.Kill()
			eventually(t, "the failure is reported", func() bool { return len(r.of(outbox.KindRelayFailing)) == 1 })
			server.Restart()
			eventually(t, "the recovery is reported", func() bool { return len(r.of(outbox.KindRelayRecovered)) == 1 })
			eventually(t, "everything is moved", func() bool { return count(t, table, db) == 0 })
			require.Equal(t, backlog, q.size())
		})
	}
}

// TestTable_mariaDBFlush counts the committed events that remain after a kill of
// MariaDB. docs/outbox.md has the figures.
func TestTable_mariaDBFlush(t *testing.T) {
	t.Parallel()
	const events = 1000
	for setting, durable := range map[string]bool{"0": false, "1": true} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			server := testserver.StartMariaDB(t)
			server.Restart("--innodb-flush-log-at-trx-commit=" + setting)
			place := database{outbox.DatabaseMySQL, "mysql", server.DSN()}
			db := place.open(t)
			table := place.table(t, db)
			for _, event := range newEvents("order", events) {
				write(t, table.In(db), event)
			}
			server.Kill()
			server.Restart()
			remaining := count(t, table, db)
			t.Logf("innodb_flush_log_at_trx_commit=%s: %d of %d remain", setting, remaining, events)
			if durable {
				require.Equal(t, events, remaining)
			}
		})
	}
}
