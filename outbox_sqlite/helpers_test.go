package sqliteoutbox_test

import (
	"context"
	"database/sql"

	sqliteoutbox "github.com/clickid/clickid/outbox_sqlite"
)

// openIdle opens a file and migrates it.
func openIdle(ctx context.Context, path string, cfg sqliteoutbox.Config) (*sqliteoutbox.Outbox, error) {
	ob, err := sqliteoutbox.Open(path, cfg)
	if err != nil {
		return nil, err
	}
	return migrated(ctx, ob)
}

// newIdle migrates a database.
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

// newStarted also starts the delivery.
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
