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
