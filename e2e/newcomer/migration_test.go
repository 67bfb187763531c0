package newcomer_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	"github.com/stretchr/testify/require"
)

// keptName is a client under the name of an earlier configuration.
type keptName struct {
	*capi.Client
	name string
}

func (d keptName) Name() string { return d.name }

// TestMigration_keptName moves an outbox with a backlog from ECAPI to log_event
// as the guide describes.
func TestMigration_keptName(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/migration.md")
	require.NoError(t, err)
	source, err := os.ReadFile("migration_test.go")
	require.NoError(t, err)
	blocks := goBlock.FindAllSubmatch(guide, -1)
	require.NotEmpty(t, blocks)
	require.Contains(t, string(source), string(blocks[0][1]))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	platform := clickidtest.NewServer(t)
	ecapi := capi.Config{APIKey: clickidtest.APIKey, BaseURL: platform.URL, Dialect: capi.ECAPI{DataSetID: clickidtest.DataSetID}}
	logEvent := ecapi
	logEvent.Dialect = capi.LogEvent{EventSourceID: clickidtest.EventSourceID}
	file := filepath.Join(t.TempDir(), "outbox.db")
	open := func(destination outbox.Destination) *sqliteoutbox.Outbox {
		ob, err := sqliteoutbox.OpenAndStart(ctx, file, sqliteoutbox.Config{Delivery: outbox.Config{Destination: destination}})
		require.NoError(t, err)
		return ob
	}
	order := func(id string) clickid.Event {
		return clickid.Event{
			Type: clickid.Purchase, ID: id, Time: time.Now(), Value: clickid.Decimal("149.99", "USD"),
			Click: clickid.Click{ID: clickID, Param: "clkid"},
		}
	}

	unavailable := make(chan struct{})
	var once sync.Once
	observed := ecapi
	observed.Hook = func(_ context.Context, a capi.Attempt) {
		if a.Status == http.StatusServiceUnavailable {
			once.Do(func() { close(unavailable) })
		}
	}
	before, err := capi.New(observed)
	require.NoError(t, err)
	ob := open(before)
	first := order("order-1001")
	_, err = ob.Send(ctx, first)
	require.NoError(t, err)
	_, err = platform.Wait(ctx, 1)
	require.NoError(t, err)
	lift := platform.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})
	_, err = ob.Send(ctx, order("order-1002"))
	require.NoError(t, err)
	select {
	case <-unavailable:
	case <-ctx.Done():
		t.Fatal("the outbox does not send the second order")
	}
	// Stop waits for the requests in progress, Close interrupts them.
	_, err = ob.Stop(ctx)
	require.NoError(t, err)
	require.NoError(t, ob.Close())
	lift()

	name, err := capi.DestinationName(ecapi)
	require.NoError(t, err)
	require.Equal(t, before.Name(), name)
	after, err := capi.New(logEvent)
	require.NoError(t, err)
	ob = open(keptName{after, name})
	defer func() { require.NoError(t, ob.Close()) }()
	report, err := ob.Send(ctx, first)
	require.NoError(t, err)
	require.Equal(t, "already known", report.Results[0].Reason)
	accepted, err := platform.Wait(ctx, 2)
	require.NoError(t, err)
	require.Equal(t, "order-1002", accepted[1].ID)
	require.Equal(t, clickidtest.DialectLogEvent, accepted[1].Dialect)
	require.Len(t, accepted, 2)
}
