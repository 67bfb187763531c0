package river_test

import (
	"testing"

	"github.com/clickid/clickid/internal/testserver"
)

func TestKill_anyMoment(t *testing.T) {
	t.Parallel()
	inTransaction.AnyMoment(t, testserver.Postgres(t), 20)
}

func TestKill_duringDelivery(t *testing.T) {
	t.Parallel()
	inTransaction.DuringDelivery(t, testserver.Postgres(t), 5000, 500, 2000, 4000)
}

func TestKill_everything(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgres(t)
	inTransaction.PowerCut(t, server.DSN(), func() {
		// The next leader need not wait for the end of the last one's term.
		for _, statement := range []string{
			"DELETE FROM clickid.river_leader",
			"UPDATE clickid.river_job SET attempted_at = attempted_at - interval '1 minute' WHERE state = 'running'",
		} {
			if _, err := newPool(t, server.DSN()).Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}, server)
}
