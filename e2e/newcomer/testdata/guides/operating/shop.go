package guide

import (
	"context"

	"github.com/clickid/clickid/outbox"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	ctx  context.Context
	err  error
	pool *pgxpool.Pool
	ob   outbox.Outbox
	ids  []string
)
