package guide

import (
	"github.com/clickid/clickid/capi"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"
)

var (
	pool       *pgxpool.Pool
	client     *capi.Client
	jobCounter rivertype.Hook
	jobTracer  rivertype.Middleware
)
