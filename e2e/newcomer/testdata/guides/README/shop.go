package guide

import (
	"net/http"
	"time"

	"github.com/clickid/clickid"
)

var (
	r       *http.Request
	sender  clickid.Sender
	event   clickid.Event
	payment struct{ Metadata map[string]string }
	order   struct {
		Number     string
		PlacedAt   time.Time
		TotalCents int64
	}
)
