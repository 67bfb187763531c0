package asynq_test

import (
	"testing"

	"github.com/clickid/clickid/internal/testserver"
)

// databases returns a Redis server of the test's own, which may be killed, and
// an empty database for the orders.
func (o ordersIn) databases(t *testing.T) string {
	t.Helper()
	dsn := testserver.Postgres
	if o == onMariaDB {
		dsn = testserver.MySQL
	}
	return testserver.StartRedis(t).DSN() + " " + dsn(t)
}

func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	for _, o := range []ordersIn{onPostgres, onMariaDB} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			o.setup().AnyMoment(t, o.databases(t), 20)
		})
	}
}

func TestKilledDuringDelivery(t *testing.T) {
	t.Parallel()
	onPostgres.setup().DuringDelivery(t, onPostgres.databases(t), 5000, 500, 2000, 4000)
}
