package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clickid/clickid/internal/sleep"
)

// purgeBatch is how many rows one statement of a purge deletes at most: some
// ten milliseconds of locks on rows that nobody reads any more.
const purgeBatch = 1000

// Purge deletes at most limit clicks and links that have expired, and returns
// how many it deleted: fewer than limit when none is left. Each statement
// deletes up to 1,000 rows and commits by itself; between two of them Purge
// pauses as long as the last one took, so that it uses at most half of the
// time that the database has for writing. Several instances may purge at once.
//
// After an error, the rows that were deleted by then stay deleted.
func (s *Store) Purge(ctx context.Context, limit int) (purged int, err error) {
	if limit < 1 {
		return 0, errors.New("sqlstore: the limit of a purge must be at least 1")
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
	const action = "purging what has expired"
	// Deleted rows stay in the index until the database cleans up. Starting
	// at the first that is left keeps a batch from wading through those of all
	// earlier ones.
	var from int64
	for purged < limit {
		start := time.Now()
		found, err := s.queryRow(ctx, action, table.first, []any{from, now}, &from)
		if err != nil || !found {
			return purged, err
		}
		batch := min(limit-purged, purgeBatch)
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

// PurgeEvery deletes what has expired, at once and then at every interval of
// at least a second, until ctx ends, whose error it returns. It blocks: start
// it in a goroutine.
//
// report is called after every round, and after every 100,000 rows of a long
// one, with the number of rows that were deleted. A failed round is reported,
// and the next one tries again. A nil report logs failures to slog.Default().
func (s *Store) PurgeEvery(ctx context.Context, interval time.Duration, report func(purged int, err error)) error {
	if interval < time.Second {
		return fmt.Errorf("sqlstore: the interval of the purge must be at least a second")
	}
	if report == nil {
		report = func(_ int, err error) {
			if err != nil {
				slog.ErrorContext(ctx, "sqlstore: purge failed", slog.Any("error", err))
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
