package sqlstore

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/clickid/clickid/internal/sleep"
)

// Limits of the rows that one statement deletes, so that its locks last about
// ten milliseconds. They are on rows that no request reads, except in SQLite,
// which locks the whole file.
const (
	purgeBatch       = 1000
	purgeBatchSQLite = 100
)

// Purge deletes up to limit expired clicks and links, and returns how many it
// deleted: fewer than limit when no more have expired. In PostgreSQL and MySQL a
// row must have expired by the clocks of this machine and of the server, so that
// neither deletes a live click when it is ahead.
//
// Each statement deletes up to 1,000 rows, or 100 in SQLite, and commits. Between
// two statements Purge pauses as long as the last one took, so that it uses at most
// half of the database's time for writing. Several instances can purge at the same
// time.
//
// When Purge returns an error, it also returns how many rows it deleted before.
func (s *Store) Purge(ctx context.Context, limit int) (purged int, err error) {
	if limit < 1 {
		return 0, errors.New("sqlstore: Purge: limit must be at least 1")
	}
	now := s.now().Unix()
	for _, table := range []expired{s.sql.expiredClicks, s.sql.expiredLinks} {
		n, err := s.purgeTable(ctx, table, now, limit-purged)
		purged += n
		if err != nil {
			return purged, err
		}
	}
	return purged, nil
}

func (s *Store) purgeTable(ctx context.Context, table expired, now int64, limit int) (purged int, err error) {
	const action = "purging expired rows"
	// Deleted rows stay in the index until the database cleans up. Each batch
	// starts at the first row that is left, so that it does not read the deleted
	// rows of all earlier batches.
	var from int64
	most := purgeBatch
	if s.database == DatabaseSQLite {
		most = purgeBatchSQLite
	}
	for purged < limit {
		start := time.Now()
		found, err := s.queryRow(ctx, action, table.first, []any{from, now}, &from)
		if err != nil || !found {
			return purged, err
		}
		batch := min(limit-purged, most)
		n, err := s.exec(ctx, action, table.remove, from, now, batch)
		purged += int(n)
		if err != nil || int(n) < batch {
			return purged, err
		}
		if err := sleep.For(ctx, time.Since(start)); err != nil {
			return purged, s.failure(ctx, action, err)
		}
	}
	return purged, nil
}

// purgeStep is how many rows PurgeEvery deletes between two reports.
const purgeStep = 100_000

// PurgeEvery deletes expired clicks and links, immediately and then at each
// interval, until ctx ends. It blocks, so call it in a goroutine. It returns
// ctx's error, or another one immediately when interval is shorter than a
// second.
//
// PurgeEvery calls report after each round, and after each 100,000 rows of a
// long round, with the number of deleted rows and the error of [Store.Purge].
// After an error it tries again at the next interval. A nil report logs errors
// to slog.Default(). An hour is a good interval; several instances can purge at
// the same time.
func (s *Store) PurgeEvery(ctx context.Context, interval time.Duration, report func(purged int, err error)) error {
	if interval < time.Second {
		return errors.New("sqlstore: PurgeEvery: interval must be at least a second")
	}
	if report == nil {
		report = func(_ int, err error) {
			if err != nil {
				slog.ErrorContext(ctx, "sqlstore: PurgeEvery failed and tries again at the next interval", slog.Any("error", err))
			}
		}
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		for {
			purged, err := s.Purge(ctx, purgeStep)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			report(purged, err)
			if err != nil || purged < purgeStep {
				break
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
