package guide

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/outbox"
	sqlstore "github.com/clickid/clickid/store_sql"
)

type placed struct {
	Number     string
	Total      int64
	TotalCents int64
}

type paid struct {
	URL      string
	PaidAt   time.Time
	Metadata map[string]string
	Amount   int64
	Currency string
}

var (
	w        http.ResponseWriter
	r        *http.Request
	err      error
	db       *sql.DB
	tracker  *clickid.Tracker
	sender   clickid.Sender
	event    clickid.Event
	ob       *outbox.TableOutbox
	store    *sqlstore.Store
	order    placed
	payment  paid
	cart     struct{}
	provider interface {
		Create(ctx context.Context, total int64, metadata map[string]string) (paid, error)
		Verify(r *http.Request) (paid, error)
	}
	orders interface {
		MarkPaid(ctx context.Context, number string) (placed, error)
	}
)

func newOrder(r *http.Request) placed { return placed{} }

func placeOrder(ctx context.Context, tx *sql.Tx, cart struct{}) (placed, error) { return placed{}, nil }
