package guide

import (
	"context"

	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/outbox"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"
)

var (
	ctx        context.Context
	err        error
	pool       *pgxpool.Pool
	client     *capi.Client
	jobCounter rivertype.Hook
	jobTracer  rivertype.Middleware
	ob         outbox.Outbox
	ids        []string
)
