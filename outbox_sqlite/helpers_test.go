package sqliteoutbox_test

import (
	"context"
	"database/sql"

	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// openIdle opens a file and prepares its tables.
func openIdle(ctx context.Context, path string, cfg sqliteoutbox.Config) (*sqliteoutbox.Outbox, error) {
	ob, err := sqliteoutbox.Open(path, cfg)
	if err != nil {
		return nil, err
	}
	return migrated(ctx, ob)
}

// newIdle prepares the tables in a database.
func newIdle(ctx context.Context, db *sql.DB, cfg sqliteoutbox.Config) (*sqliteoutbox.Outbox, error) {
	ob, err := sqliteoutbox.New(db, cfg)
	if err != nil {
		return nil, err
	}
	return migrated(ctx, ob)
}

func migrated(ctx context.Context, ob *sqliteoutbox.Outbox) (*sqliteoutbox.Outbox, error) {
	if err := ob.Migrate(ctx); err != nil {
		_ = ob.Close()
		return nil, err
	}
	return ob, nil
}

// newStarted also begins to deliver.
func newStarted(ctx context.Context, db *sql.DB, cfg sqliteoutbox.Config) (*sqliteoutbox.Outbox, error) {
	ob, err := newIdle(ctx, db, cfg)
	if err != nil {
		return nil, err
	}
	if err := ob.Start(context.WithoutCancel(ctx)); err != nil {
		_ = ob.Close()
		return nil, err
	}
	return ob, nil
}
