package sqliteoutbox

import (
	"context"
	"database/sql"
	"sync"

	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// prepared is River's driver, and keeps the prepared statements that run in the
// order's transaction. The connections are the application's; see [connector] for
// our own.
type prepared struct {
	*riversqlite.Driver
	db *sql.DB

	mu         sync.RWMutex
	statements map[string]*sql.Stmt
}

func newPrepared(db *sql.DB) *prepared {
	return &prepared{Driver: riversqlite.New(db), db: db, statements: make(map[string]*sql.Stmt)}
}

// Prepare prepares a statement on the pool. It stays prepared until the pool is
// closed: Send works after Close.
func (p *prepared) Prepare(ctx context.Context, query string) error {
	if p.statement(query) != nil {
		return nil
	}
	s, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.statements[query] != nil {
		return s.Close() // by a call at the same time
	}
	p.statements[query] = s
	return nil
}

// Prepared returns a statement of tx. It is prepared for this transaction only if
// Prepare has not run, or if tx is of another pool on the same file.
func (p *prepared) Prepared(ctx context.Context, tx *sql.Tx, query string) (*sql.Stmt, error) {
	// database/sql tells only through the statement that its pool is another one.
	if s := p.statement(query); s != nil && tx.StmtContext(ctx, s).Close() == nil {
		return tx.StmtContext(ctx, s), nil
	}
	return tx.PrepareContext(ctx, query)
}

func (p *prepared) statement(query string) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.statements[query]
}
