package sqliteoutbox

import (
	"context"
	"path/filepath"
	"testing"
)

// TestConnection_nestedQueries runs a query while its own rows are read.
func TestConnection_nestedQueries(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db, err := openFile(filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, "CREATE TABLE n (n integer); INSERT INTO n VALUES (1), (2), (3)"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	sum := func(depth int) int { return 0 }
	sum = func(depth int) int {
		read, err := tx.QueryContext(ctx, "SELECT n FROM n WHERE n > ?", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = read.Close() }()
		total := 0
		for read.Next() {
			var n int
			if err := read.Scan(&n); err != nil {
				t.Fatal(err)
			}
			if total += n; depth > 0 {
				total += sum(depth - 1)
			}
		}
		if err := read.Err(); err != nil {
			t.Fatal(err)
		}
		return total
	}
	if got := sum(2); got != 6+3*(6+3*6) {
		t.Errorf("the sum is %d", got)
	}
	// A change of the table and an error do not break the cached statement.
	if _, err := tx.ExecContext(ctx, "INSERT INTO n VALUES (abs(?))", -1<<63); err == nil {
		t.Error("an overflow returns no error")
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO n VALUES (abs(?))", -4); err != nil {
		t.Error(err)
	}
	if _, err := tx.ExecContext(ctx, "ALTER TABLE n ADD COLUMN m integer"); err != nil {
		t.Error(err)
	}
	if got := sum(0); got != 10 {
		t.Errorf("the sum is %d", got)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(c any) error {
		if kept := len(c.(*connection).statements); kept != 2 {
			t.Errorf("%d statements are cached", kept)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
