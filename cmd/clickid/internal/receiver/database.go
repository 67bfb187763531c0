package receiver

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/internal/sqldb"
	_ "modernc.org/sqlite" // without cgo
)

// database keeps the exchanges in a SQLite file. The store's lock guards it.
type database struct{ db *sql.DB }

const schema = `
CREATE TABLE IF NOT EXISTS receive_exchanges (
	first    INTEGER PRIMARY KEY, -- number of the first entry
	last     INTEGER NOT NULL,
	exchange BLOB    NOT NULL     -- JSON
);
CREATE TABLE IF NOT EXISTS receive_progress (
	id       INTEGER PRIMARY KEY CHECK (id = 1),
	progress BLOB NOT NULL -- JSON
)`

// openDatabase opens a file that no other process uses.
func openDatabase(ctx context.Context, file string) (*database, error) {
	unusable := func(err error) error {
		return fmt.Errorf("receive: %s is not a usable database, or another receiver uses it; choose another file with -db: %w", file, err)
	}
	if err := sqldb.CreateSQLiteFile(file); err != nil {
		return nil, unusable(err)
	}
	options := url.Values{
		"_pragma": {"locking_mode(EXCLUSIVE)", "journal_mode(WAL)", "synchronous(NORMAL)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", sqldb.SQLiteSource(file, options))
	if err != nil {
		return nil, unusable(err)
	}
	db.SetMaxOpenConns(1) // a second connection would wait for the lock of the first
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, unusable(errors.Join(err, db.Close()))
	}
	return &database{db}, nil
}

func (d *database) close() error { return d.db.Close() }

// add stores an exchange whose entries have the numbers from first to last, and
// deletes what is not kept any more.
func (d *database) add(first, last int, x clickidtest.Exchange, p progress) error {
	exchange, err := encode(x)
	if err != nil {
		return err
	}
	return d.update(p,
		statement{`INSERT INTO receive_exchanges (first, last, exchange) VALUES (?, ?, ?)`, []any{first, last, exchange}},
		statement{`DELETE FROM receive_exchanges WHERE last < ?`, []any{p.Oldest}})
}

func (d *database) clear(p progress) error {
	return d.update(p, statement{`DELETE FROM receive_exchanges`, nil})
}

type statement struct {
	query string
	args  []any
}

// update runs statements and stores the progress, all or nothing.
func (d *database) update(p progress, statements ...statement) error {
	encoded, err := encode(p)
	if err != nil {
		return err
	}
	tx, err := d.db.Begin()
	if err != nil {
		return err
	}
	statements = append(statements, statement{`INSERT OR REPLACE INTO receive_progress (id, progress) VALUES (1, ?)`, []any{encoded}})
	for _, s := range statements {
		if _, err := tx.Exec(s.query, s.args...); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// storedExchange is a row of the file.
type storedExchange struct {
	first    int
	exchange clickidtest.Exchange
}

// load returns what the file keeps, oldest first.
func (d *database) load(ctx context.Context) (found []storedExchange, p progress, err error) {
	var encoded []byte
	err = d.db.QueryRowContext(ctx, `SELECT progress FROM receive_progress`).Scan(&encoded)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, p, nil
	}
	if err == nil {
		err = json.Unmarshal(encoded, &p)
	}
	if err != nil {
		return nil, p, fmt.Errorf("receive: reading the file of -db: %w", err)
	}
	rows, err := d.db.QueryContext(ctx, `SELECT first, exchange FROM receive_exchanges ORDER BY first`)
	if err != nil {
		return nil, p, fmt.Errorf("receive: reading the file of -db: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var row storedExchange
		if err := rows.Scan(&row.first, &encoded); err != nil {
			return nil, p, fmt.Errorf("receive: reading the file of -db: %w", err)
		}
		if err := json.Unmarshal(encoded, &row.exchange); err != nil {
			return nil, p, fmt.Errorf("receive: reading the file of -db: %w", err)
		}
		found = append(found, row)
	}
	if err := rows.Err(); err != nil {
		return nil, p, fmt.Errorf("receive: reading the file of -db: %w", err)
	}
	return found, p, nil
}

// encode returns JSON that keeps the characters of an event's own JSON.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
