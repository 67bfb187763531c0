package river_test

import (
	"context"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/outbox"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// linkedShop is a shop that reaches its database through a link.
type linkedShop struct {
	*shop
	link     *testserver.Link
	direct   *pgxpool.Pool // without the link
	platform *clickidtest.Server
}

func newLinkedShop(t *testing.T) *linkedShop {
	t.Helper()
	s := &linkedShop{direct: sharedPool(t), platform: clickidtest.NewServer(t)}
	database := s.direct.Config().ConnString()
	s.link = testserver.NewLink(t, database)
	// The statements are in the clear each time, not only when they are prepared.
	pool := newPool(t, s.link.DSN()+"&default_query_exec_mode=exec")
	s.shop = &shop{pool, newOutbox(t, pool, riveroutbox.Config{Delivery: outbox.Config{Destination: newClient(t, s.platform)}})}
	_, err := s.direct.Exec(t.Context(), "CREATE TABLE orders (id text PRIMARY KEY)")
	require.NoError(t, err)
	return s
}

// count returns the number of rows of a table.
func (s *linkedShop) count(t *testing.T, table string) int {
	t.Helper()
	n, err := count(t.Context(), s.direct, "SELECT count(*) FROM "+table)
	require.NoError(t, err)
	return n
}

// order places an order unless it is stored, and sends its conversion in each case.
func (s *linkedShop) order(ctx context.Context, id string) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, "INSERT INTO orders (id) VALUES ($1) ON CONFLICT DO NOTHING", id); err != nil {
		return err
	}
	if _, err := s.outbox.In(tx).Send(ctx, conversion(id)); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// sends sends a conversion in a transaction of its own.
func (s *linkedShop) sends(ctx context.Context, id string) error {
	_, err := s.outbox.Send(ctx, conversion(id))
	return err
}

// isDelivered waits until everything is delivered, and checks that the platform has
// received a number of events, each once.
func (s *linkedShop) isDelivered(t *testing.T, events int) {
	t.Helper()
	eventually(t, "everything is delivered", func(ctx context.Context) (bool, error) {
		n, err := count(ctx, s.direct, "SELECT count(*) FROM clickid.river_job WHERE state <> 'completed'")
		return n == 0, err
	})
	require.Equal(t, events, s.platform.Count())
	for _, event := range s.platform.Accepted() {
		require.Equal(t, 1, event.Received, event.ID)
	}
}

// TestOutbox_cutCommit cuts the connection to the database before and after the
// commit of an order and of a Send, and around the statement that stores the outcome
// of a delivery. The shop gets the error and repeats the order, and each event is
// sent once.
func TestOutbox_cutCommit(t *testing.T) {
	t.Parallel()
	s := newLinkedShop(t)
	events := 0
	for name, place := range map[string]func(context.Context, string) error{"order": s.order, "send": s.sends} {
		for moment, cut := range map[string]func(string) func(){"before": s.link.CutBefore, "after": s.link.CutAfter} {
			id, before := name+"-"+moment, s.count(t, "clickid.river_job")
			awaitCut := cut("commit\x00")
			require.Error(t, place(t.Context(), id), id)
			awaitCut()
			if moment == "after" {
				require.Equal(t, before+1, s.count(t, "clickid.river_job"), id)
			}
			require.NoError(t, place(t.Context(), id), id)
			require.Equal(t, before+1, s.count(t, "clickid.river_job"), id)
			events++
		}
	}
	start(t, s.outbox)
	s.isDelivered(t, events)
	for moment, cut := range map[string]func(string) func(){"before": s.link.CutBefore, "after": s.link.CutAfter} {
		awaitCut := cut(`UPDATE "clickid".river_job SET metadata`)
		send(t, s.outbox, moment, 10)
		awaitCut()
		events += 10
		s.isDelivered(t, events)
	}
}
