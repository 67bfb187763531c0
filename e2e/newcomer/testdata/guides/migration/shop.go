package guide

import (
	"github.com/clickid/clickid/capi"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	pool   *pgxpool.Pool
	client *capi.Client
)
