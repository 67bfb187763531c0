package guide

import (
	"context"
	"database/sql"
	"net/http"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

var (
	ctx         context.Context
	r           *http.Request
	t           *testing.T
	err         error
	pool        *pgxpool.Pool
	db          *sql.DB
	redisClient *redis.Client
	client      *capi.Client
	event       clickid.Event
	ob          outbox.Outbox
	cart        struct{}
)

type order struct {
	Number   string
	PlacedAt time.Time
	Cents    int64
}

func placeOrder(ctx context.Context, tx any, cart struct{}) (order, error) { return order{}, nil }

func newBackend(t testing.TB) outboxtest.Backend { return outboxtest.Backend{} }

type MyOutbox struct{ delivery *outbox.Delivery }

type Job struct {
	Record   outbox.Record
	Attempts int
}

func (o *MyOutbox) Enqueue(ctx context.Context, records []outbox.Record) (map[string]string, error) {
	return nil, nil
}

func (o *MyOutbox) complete(job Job)                         {}
func (o *MyOutbox) free(job Job, skip *outbox.Skip)          {}
func (o *MyOutbox) again(job Job, wait time.Duration)        {}
func (o *MyOutbox) againCounted(job Job, wait time.Duration) {}
func (o *MyOutbox) bury(job Job, failure outbox.Failure)     {}
