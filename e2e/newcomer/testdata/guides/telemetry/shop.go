package guide

import (
	"context"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	clickidotel "github.com/clickid/clickid/otel"
	riveroutbox "github.com/clickid/clickid/outbox_river"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	ctx       context.Context
	pool      *pgxpool.Pool
	tx        pgx.Tx
	store     clickid.Store
	client    *capi.Client
	event     clickid.Event
	telemetry *clickidotel.Telemetry
	ob        *riveroutbox.Outbox[pgx.Tx]
)

func requestID(context.Context) string { return "" }
