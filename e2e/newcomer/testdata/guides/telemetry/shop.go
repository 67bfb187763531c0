package guide

import (
	"context"

	"github.com/clickid/clickid"
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
	event     clickid.Event
	telemetry *clickidotel.Telemetry
	ob        *riveroutbox.Outbox[pgx.Tx]
)
