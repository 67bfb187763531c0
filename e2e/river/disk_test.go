package river_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/clickid/clickid/e2e/internal/crash"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestOutbox_fullDisk fills the disk of PostgreSQL's tables while orders are
// placed and delivered. An order gets the error and nothing of it is stored. When
// the disk has space again, orders are placed and everything is delivered.
func TestOutbox_fullDisk(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgresOnDisk(t)
	s := openBusyShop(t, server.DSN())
	server.FillDisk()
	eventually(t, "orders are refused", func(context.Context) (bool, error) { return s.failed.count() >= 20, nil })
	time.Sleep(10 * time.Second) // the length of the fault; River stops trying to store an outcome after seven seconds
	server.FreeDisk()
	orders := s.closes(t)

	inConversion := 0
	for id, err := range s.failed.byOrder {
		refused := (*pgconn.PgError)(nil)
		if !errors.As(err, &refused) || refused.Code != "53100" { // disk_full
			t.Errorf("order %s: %v", id, err)
		}
		if errors.Is(err, errConversion) {
			inConversion++
		}
		if found, err := s.outbox.Find(within(t, time.Minute), id); err != nil || len(found) != 0 {
			t.Errorf("the refused order %s left %+v, %v", id, found, err)
		}
	}
	if inConversion == 0 {
		t.Error("no order was refused by the outbox")
	}
	t.Logf("%d orders, %d refused, %d conversions sent twice", len(orders), s.failed.count(), crash.Resent(s.platform))
}

// TestOutbox_fullLogDisk fills the disk of PostgreSQL's write-ahead log, so that
// the server ends itself. It is started again when the disk has space.
func TestOutbox_fullLogDisk(t *testing.T) {
	t.Parallel()
	server := testserver.StartPostgresWithLogOnDisk(t)
	s := openBusyShop(t, server.DSN())
	server.FillDisk()
	eventually(t, "the server has ended", func(context.Context) (bool, error) { return !server.Running(), nil })
	server.FreeDisk()
	server.Restart()
	orders := s.closes(t)
	t.Logf("%d orders, %d failed, %d conversions sent twice", len(orders), s.failed.count(), crash.Resent(s.platform))
}
