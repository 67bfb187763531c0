package sqliteoutbox

import (
	"context"
	"database/sql/driver"
	"errors"
)

// maxStatements limits the statements that a connection keeps. River has a few
// dozen.
const maxStatements = 100

// connector opens connections that cache prepared statements. River runs a long
// statement for every delivered event, and SQLite takes longer to prepare it
// than to run it.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(sqliteConn)
	if !ok {
		return opened, nil // an unknown version of the driver: no cache
	}
	return &connection{conn, make(map[string]*statement)}, nil
}

// sqliteConn lists the interfaces of the driver's connections.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// connection is used by one goroutine at a time, as database/sql guarantees.
type connection struct {
	sqliteConn
	statements map[string]*statement
}

// compiled lists the interfaces of the driver's statements.
type compiled interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type statement struct {
	compiled
	busy bool // its rows are being read
}

// statement returns the cached statement, or nil if it is in use.
func (c *connection) statement(ctx context.Context, query string) (*statement, error) {
	s, ok := c.statements[query]
	if ok && s.busy || !ok && len(c.statements) >= maxStatements {
		return nil, nil
	}
	if ok {
		return s, nil
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	kept, ok := prepared.(compiled)
	if !ok {
		return nil, prepared.Close()
	}
	s = &statement{compiled: kept}
	c.statements[query] = s
	return s, nil
}

func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		return c.sqliteConn.ExecContext(ctx, query, args) // a migration runs once
	}
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	read, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &rows{read, s}, nil
}

func (c *connection) Close() error {
	var problems []error
	for _, s := range c.statements {
		problems = append(problems, s.Close())
	}
	return errors.Join(append(problems, c.sqliteConn.Close())...)
}

// rows releases its statement.
type rows struct {
	driver.Rows
	statement *statement
}

func (r *rows) Close() error {
	r.statement.busy = false
	return r.Rows.Close()
}
