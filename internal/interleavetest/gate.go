package interleavetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"testing"
)

// Gate stops an operation before one of its steps, which are the statements of its
// connections and its requests to the platform. Only the first of several equal
// steps counts, so that polling adds none. While the operation stops, its other
// goroutines wait before their next step, as in a process that pauses. A nil Gate lets
// everything pass.
type Gate struct {
	mu      sync.Mutex
	seen    map[string]bool
	from    string // the step from which they count, or ""
	stop    int    // the number of the step, from 1; 0 before arm and after resume
	reached chan string
	resumed chan struct{}
}

// Pass is called before each step, in any goroutine. It waits if the operation
// stops here.
func (g *Gate) Pass(step string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	if g.stop == 0 {
		g.mu.Unlock()
		return
	}
	counts := !g.seen[step] && (len(g.seen) > 0 || g.from == "" || step == g.from)
	if counts && len(g.seen) < g.stop {
		g.seen[step] = true
		if len(g.seen) == g.stop {
			g.reached <- step
		}
	}
	stops, resumed := len(g.seen) == g.stop, g.resumed
	g.mu.Unlock()
	if stops {
		<-resumed
	}
}

// arm makes the next operation stop before its n-th step, from a certain one on if that
// is not empty. The channel then receives the step.
func (g *Gate) arm(n int, from string) (reached <-chan string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen, g.from, g.stop = make(map[string]bool), from, n
	g.reached, g.resumed = make(chan string, 1), make(chan struct{})
	return g.reached
}

// resume lets the operation go on to its end.
func (g *Gate) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stop > 0 {
		g.stop = 0
		close(g.resumed)
	}
}

// OpenDB opens a database whose statements pass the gate if they are among the steps.
func OpenDB(t testing.TB, driverName, source string, gate *Gate, isStep func(statement string) bool) *sql.DB {
	t.Helper()
	db, err := sql.Open(driverName, source)
	if err != nil {
		t.Fatal(err)
	}
	gated := sql.OpenDB(connector{db.Driver(), source, func(statement string) {
		if isStep(statement) {
			gate.Pass(statement)
		}
	}})
	t.Cleanup(func() { _ = errors.Join(gated.Close(), db.Close()) })
	return gated
}

// connector opens connections whose statements pass.
type connector struct {
	driver driver.Driver
	source string
	pass   func(statement string)
}

func (c connector) Driver() driver.Driver { return c.driver }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	opened, err := c.driver.Open(c.source)
	if err != nil {
		return nil, err
	}
	full, ok := opened.(fullConn)
	if !ok {
		return nil, errors.Join(errors.New("interleavetest: the driver's connections lack an interface"), opened.Close())
	}
	return conn{full, c.pass}, nil
}

type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

type conn struct {
	fullConn
	pass func(step string)
}

func (c conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.pass(query)
	return c.fullConn.ExecContext(ctx, query, args)
}

func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.pass(query)
	return c.fullConn.QueryContext(ctx, query, args)
}

func (c conn) CheckNamedValue(value *driver.NamedValue) error {
	if checker, ok := c.fullConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(value)
	}
	return driver.ErrSkip
}

func (c conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	prepared, err := c.fullConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := prepared.(fullStmt)
	if !ok {
		return nil, errors.Join(errors.New("interleavetest: the driver's statements lack an interface"), prepared.Close())
	}
	return stmt{full, c.pass, query}, nil
}

func (c conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	c.pass("BEGIN")
	begun, err := c.fullConn.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return tx{begun, c.pass}, nil
}

type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type stmt struct {
	fullStmt
	pass  func(step string)
	query string
}

func (s stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.pass(s.query)
	return s.fullStmt.ExecContext(ctx, args)
}

func (s stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.pass(s.query)
	return s.fullStmt.QueryContext(ctx, args)
}

type tx struct {
	driver.Tx
	pass func(step string)
}

func (t tx) Commit() error {
	t.pass("COMMIT")
	return t.Tx.Commit()
}

// IsRiverStep reports whether a statement of River or of an outbox on River concerns
// the outcome of an event. The others look for what is due, or count.
func IsRiverStep(statement string) bool {
	for _, idle := range []string{"SELECT EXISTS", "SELECT (SELECT", "JobKindList", "SET state = 'available' WHERE", "river_leader"} {
		if strings.Contains(statement, idle) {
			return false
		}
	}
	return strings.EqualFold(statement, "COMMIT") || strings.Contains(statement, "river_job") || strings.Contains(statement, "advisory_xact_lock")
}
