package relay_test

import (
	"path/filepath"
	"testing"

	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
)

// database returns an empty database for the orders, and an empty place for
// the engine.
func (k shopKind) database(t *testing.T) string {
	t.Helper()
	where := filepath.Join(t.TempDir(), "outbox.db")
	if k.name == "postgresql to asynq" || k.name == "mariadb to asynq" {
		where = testserver.StartRedis(t).DSN()
	}
	switch k.dialect {
	case outbox.PostgreSQL:
		return where + " " + testserver.Postgres(t)
	case outbox.MySQL:
		return where + " " + testserver.MySQL(t)
	}
	return where + " file:" + filepath.Join(t.TempDir(), "shop.db") + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"
}

func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	for _, kind := range shops {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			kind.setup().AnyMoment(t, kind.database(t), 20)
		})
	}
}

func TestKilledDuringDelivery(t *testing.T) {
	t.Parallel()
	kind := shops[0]
	kind.setup().DuringDelivery(t, kind.database(t), 5000, 500, 2000, 4000)
}
