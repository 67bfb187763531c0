// Package plans shows the plans of statements on PostgreSQL.
package plans

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Explainer is a tracer of pgx. It explains each statement with a FROM, except
// insertions, before it runs, on its connection and with its arguments.
type Explainer struct {
	// Inserts explains insertions as well, which runs them twice.
	Inserts bool

	mu    sync.Mutex
	on    bool
	plans []string
}

const explain = "EXPLAIN (ANALYZE, BUFFERS) "

// TraceQueryStart implements [pgx.QueryTracer].
func (e *Explainer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	e.mu.Lock()
	on := e.on
	e.mu.Unlock()
	if !on || !strings.Contains(data.SQL, "FROM ") || strings.HasPrefix(data.SQL, explain) || !e.Inserts && strings.HasPrefix(data.SQL, "INSERT") {
		return ctx
	}
	add := func(plan string) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.plans = append(e.plans, plan)
	}
	rows, err := conn.Query(context.WithoutCancel(ctx), explain+data.SQL, data.Args...)
	if err != nil {
		add(err.Error())
		return ctx
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		lines = append(lines, err.Error())
	}
	add(data.SQL + "\n" + strings.Join(lines, "\n"))
	return ctx
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (e *Explainer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Watch returns the plans of the statements that f runs.
func (e *Explainer) Watch(f func()) []string {
	e.mu.Lock()
	e.on, e.plans = true, nil
	e.mu.Unlock()
	f()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.on = false
	return e.plans
}

// pages is the number of pages of the first line about buffers, that of the
// whole plan.
var pages = regexp.MustCompile(`Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?`)

// Pages returns the number of pages that a plan has read.
func Pages(plan string) (n int) {
	for _, number := range pages.FindStringSubmatch(plan)[1:] {
		part, _ := strconv.Atoi(number)
		n += part
	}
	return n
}
