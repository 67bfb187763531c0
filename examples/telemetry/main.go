// Command telemetry is a small shop that reports its clicks, orders and
// deliveries to OpenTelemetry: metrics for Prometheus, and traces on the standard
// output or over OTLP. Copy it and replace the pages and orders with your own.
//
//	CLICKID_API_KEY=scope3_… CLICKID_EVENT_SOURCE=… go run ./telemetry -traces stdout
//
// Prometheus scrapes http://127.0.0.1:9464/metrics, or the address of -metrics.
// With -traces otlp, the variables OTEL_EXPORTER_OTLP_… name the collector.
// Clicks, orders and outbox are in the same SQLite file (SHOP_DB). With
// CLICKID_ADVERTISER, deliveries are compared with what the platform has counted.
// CLICKID_BASE_URL is the address of a local receiver.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/interchange"
	clickidotel "github.com/clickid/clickid/otel"
	"github.com/clickid/clickid/outbox"
	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
	sqlstore "github.com/clickid/clickid/store_sql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
)

func main() {
	metrics := flag.String("metrics", "127.0.0.1:9464", "`ADDRESS` for Prometheus")
	traces := flag.String("traces", "none", "`WHERE` to send traces: none, stdout or otlp")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *metrics, *traces); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, metrics, traces string) error {
	flush, err := observe(ctx, metrics, traces)
	if err != nil {
		return err
	}
	defer flush()
	telemetry, err := clickidotel.New(clickidotel.Config{})
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, cmp.Or(os.Getenv("SHOP_DB"), "shop.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	tracker, ob, err := configure(ctx, db, telemetry)
	if err != nil {
		return err
	}
	defer ob.Close()
	stopWatching, err := telemetry.Watch("orders", ob)
	if err != nil {
		return err
	}
	defer stopWatching()
	if err := ob.Start(ctx); err != nil {
		return err
	}
	if advertiser := os.Getenv("CLICKID_ADVERTISER"); advertiser != "" {
		counts, err := interchange.New(interchange.Config{
			APIKey:       os.Getenv("CLICKID_API_KEY"),
			AdvertiserID: advertiser,
			BaseURL:      os.Getenv("CLICKID_BASE_URL"),
		})
		if err != nil {
			return err
		}
		go reconcileEvery(ctx, time.Hour, telemetry, ob, counts)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Shop</title><a href="/checkout">A lamp, $149.99</a>`)
	})
	mux.HandleFunc("GET /checkout", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>Checkout</title><form method="post" action="/orders"><button>Buy the lamp</button></form>`)
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		result, err := place(r.Context(), db, telemetry, ob)
		if err != nil {
			log.Print(err)
			http.Error(w, "the order could not be stored", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "Thank you! Conversion:", result.Verdict)
	})
	// otelhttp comes first, so that captures are events in its span.
	return serve(ctx, otelhttp.NewHandler(tracker.Handler(mux), "shop", otelhttp.WithSpanNameFormatter(
		func(_ string, r *http.Request) string { return cmp.Or(r.Pattern, r.Method) },
	)))
}

// place stores an order with its conversion.
func place(ctx context.Context, db *sql.DB, telemetry *clickidotel.Telemetry, ob *sqliteoutbox.Outbox) (clickid.Result, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return clickid.Result{}, err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after Commit
	order := rand.Text()
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (number, cents) VALUES (?, ?)", order, 14999); err != nil {
		return clickid.Result{}, err
	}
	result, err := clickid.Convert(ctx, telemetry.Sender(ob.In(tx)), clickid.Event{
		Type:    clickid.Purchase,
		ID:      order,
		Time:    time.Now(),
		Value:   clickid.Minor(14999, "USD"),
		Source:  clickid.SourceWebsite,
		PageURL: "https://shop.example/checkout",
	})
	if err != nil {
		return result, err
	}
	_, span := otel.Tracer("shop").Start(ctx, "commit")
	defer span.End()
	return result, tx.Commit()
}

// observe sets the global providers and serves the metrics. flush sends the
// remaining spans.
func observe(ctx context.Context, metrics, traces string) (flush func(), err error) {
	about := resource.NewSchemaless(semconv.ServiceName("shop"))
	var to trace.SpanExporter
	switch traces {
	case "none":
	case "stdout":
		to, err = stdouttrace.New()
	case "otlp":
		to, err = otlptracehttp.New(ctx)
	default:
		err = fmt.Errorf("-traces must be none, stdout or otlp; it is %q", traces)
	}
	if err != nil {
		return nil, err
	}
	spans := []trace.TracerProviderOption{trace.WithResource(about)}
	if to != nil {
		spans = append(spans, trace.WithBatcher(to))
	}
	tracers := trace.NewTracerProvider(spans...)
	otel.SetTracerProvider(tracers)

	registry := prometheus.NewRegistry()
	exporter, err := promexporter.New(promexporter.WithRegisterer(registry), promexporter.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(exporter), metric.WithResource(about)))
	listener, err := net.Listen("tcp", metrics)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Print("metrics: ", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(tracers.Shutdown(ctx), server.Shutdown(ctx)); err != nil {
			log.Print(err)
		}
	}, nil
}

// configure reads the environment and creates the tables.
func configure(ctx context.Context, db *sql.DB, telemetry *clickidotel.Telemetry) (*clickid.Tracker, *sqliteoutbox.Outbox, error) {
	store, err := sqlstore.New(sqlstore.Config{DB: db, Database: sqlstore.DatabaseSQLite})
	if err != nil {
		return nil, nil, err
	}
	if err := store.Migrate(ctx, db); err != nil {
		return nil, nil, err
	}
	go store.PurgeEvery(ctx, time.Hour, nil)
	tracker, err := clickid.New(clickid.Config{Store: telemetry.Store(store), Hook: telemetry.OnCapture})
	if err != nil {
		return nil, nil, err
	}
	client, err := capi.New(capi.Config{
		APIKey:   os.Getenv("CLICKID_API_KEY"),
		Dialect:  capi.LogEvent{EventSourceID: cmp.Or(os.Getenv("CLICKID_EVENT_SOURCE"), "shop")},
		BaseURL:  os.Getenv("CLICKID_BASE_URL"),
		Resolver: tracker,
		Hook:     telemetry.OnAttempt,
	})
	if err != nil {
		return nil, nil, err
	}
	ob, err := sqliteoutbox.New(db, sqliteoutbox.Config{Delivery: outbox.Config{
		Destination: client, Metadata: telemetry.Metadata, Hook: telemetry.OnOutbox,
	}})
	if err != nil {
		return nil, nil, err
	}
	return tracker, ob, ob.Migrate(ctx)
}

// reconcileEvery compares the deliveries of a day with what the platform has
// counted. It counts up to an hour late.
func reconcileEvery(ctx context.Context, interval time.Duration, telemetry *clickidotel.Telemetry, ob *sqliteoutbox.Outbox, counts *interchange.Client) {
	compare := func() error {
		to := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
		from := to.Add(-24 * time.Hour)
		hours, err := ob.DeliveredByHour(ctx, from, to)
		if err != nil {
			return err
		}
		summary, err := counts.Summary(ctx, interchange.SummaryQuery{Class: interchange.ClassConversion, Start: from, End: to})
		if err != nil {
			return err
		}
		var delivered int64
		for _, hour := range hours {
			delivered += int64(hour.Delivered)
		}
		telemetry.Reconciled(ctx, delivered, summary.Total)
		return nil
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := compare(); err != nil && ctx.Err() == nil {
			log.Print(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// openDatabase opens the clicks and orders. Several writers of a SQLite file need
// immediate transactions and a busy timeout.
func openDatabase(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, cents INTEGER NOT NULL)")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// serve serves requests until ctx ends, and then waits for those in progress.
func serve(ctx context.Context, h http.Handler) error {
	server := &http.Server{Addr: ":" + cmp.Or(os.Getenv("PORT"), "8080"), Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	}()
	log.Print("listening on ", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
