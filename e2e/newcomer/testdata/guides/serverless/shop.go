package guide

import (
	"context"
	"net/http"

	"github.com/clickid/clickid/outbox"
	"github.com/jackc/pgx/v5"
)

var (
	ctx    context.Context
	err    error
	tx     pgx.Tx
	ob     outbox.Outbox
	mux    *http.ServeMux
	secret string
)
