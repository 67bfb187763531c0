package riveroutbox

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"

	"github.com/riverqueue/river/riverdriver"
)

// preparer is a driver for SQLite that keeps prepared statements: SQLite takes
// longer to prepare the insertion of a job than to run it.
type preparer interface {
	// Prepare prepares a statement on the pool, for Prepared.
	Prepare(ctx context.Context, query string) error
	// Prepared returns a statement of tx, and prepares it if necessary.
	Prepared(ctx context.Context, tx *sql.Tx, query string) (*sql.Stmt, error)
}

// insertOneSQLite inserts a job, unless its identity is stored.
const insertOneSQLite = `INSERT INTO river_job (args, kind, max_attempts, metadata, queue, created_at, scheduled_at, unique_key, unique_states)
	VALUES (jsonb_object('identity', $1), $2, $3, jsonb($4), $5, datetime('now', 'subsec'), datetime('now', 'subsec'), $6, 255)
	ON CONFLICT DO NOTHING`

// prepareSQLite prepares the insertion, if the driver keeps statements.
func (o *Outbox[TTx]) prepareSQLite(ctx context.Context) error {
	if keeps, ok := o.driver.(preparer); ok {
		return keeps.Prepare(ctx, insertOneSQLite)
	}
	return nil
}

// insertSQLite is insertPostgres on SQLite. It runs one statement for each job, and
// one more for those that are stored.
func (o *Outbox[TTx]) insertSQLite(ctx context.Context, tx riverdriver.ExecutorTx, rows []newRow, notice string) (inserted int, found map[string]string, err error) {
	insert, err := o.insertion(ctx, tx)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = insert.Close() }()
	if len(rows) > 1 { // all or none
		savepoint, failed := tx.Begin(ctx)
		if failed != nil {
			return 0, nil, failed
		}
		defer func() {
			if err == nil {
				err = savepoint.Commit(ctx)
			} else {
				_ = savepoint.Rollback(context.WithoutCancel(ctx))
			}
		}()
	}
	var stored []newRow
	for _, row := range rows {
		n, err := insertJob(ctx, insert, o.queue, row)
		if err != nil {
			return 0, nil, err
		}
		if inserted += n; n == 0 {
			stored = append(stored, row)
		}
	}
	if inserted > 0 && notice != "" {
		err = tx.NotifyMany(ctx, &riverdriver.NotifyManyParams{Payload: []string{notice}, Schema: o.cfg.Schema, Topic: insertTopic})
		if err != nil {
			return 0, nil, err
		}
	}
	if len(stored) > 0 {
		found, err = o.table.fingerprints(ctx, tx, stored)
	}
	return inserted, found, err
}

// insertion returns the statement that inserts a job in tx.
func (o *Outbox[TTx]) insertion(ctx context.Context, executor riverdriver.ExecutorTx) (*sql.Stmt, error) {
	tx := any(o.driver.UnwrapTx(executor)).(*sql.Tx) // as River's driver for SQLite has it
	if keeps, ok := o.driver.(preparer); ok {
		return keeps.Prepared(ctx, tx, insertOneSQLite)
	}
	return tx.PrepareContext(ctx, insertOneSQLite)
}

func insertJob(ctx context.Context, insert *sql.Stmt, queue string, row newRow) (inserted int, err error) {
	metadata, err := json.Marshal(row.Metadata)
	if err != nil {
		return 0, err
	}
	key, err := hex.DecodeString(row.Key)
	if err != nil {
		return 0, err
	}
	result, err := insert.ExecContext(ctx, row.Identity, JobKind, maxAttempts, string(metadata), queue, key)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}
