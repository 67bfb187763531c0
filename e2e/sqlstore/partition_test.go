package sqlstore_test

import (
	"context"
	"database/sql"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	sqlstore "github.com/clickid/clickid/store_sql"
	"github.com/clickid/clickid/storetest"
)

// guideSQL returns the blocks of SQL under a heading of docs/scaling.md with
// another prefix. The guide's first week becomes the one that begins on monday.
func guideSQL(t *testing.T, heading, prefix string, monday time.Time) (blocks []string) {
	t.Helper()
	guide, err := os.ReadFile("../../docs/scaling.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(guide), "\n### "+heading+"\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n#")
	for _, rest := range strings.Split(section, "```sql\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		block = strings.ReplaceAll(block, sqlstore.DefaultPrefix, prefix)
		for i, date := range []string{"2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14"} {
			block = strings.ReplaceAll(block, date+" 00:00:00", monday.AddDate(0, 0, 7*i).Format(time.DateTime))
		}
		blocks = append(blocks, block)
	}
	return blocks
}

// TestStore_partitions creates partitioned tables and deletes a partition with
// the statements of the guide.
func TestStore_partitions(t *testing.T) {
	headings := map[sqlstore.Database]string{sqlstore.DatabasePostgreSQL: "Partitions in PostgreSQL", sqlstore.DatabaseMySQL: "Partitions in MySQL and MariaDB"}
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		heading, partitioned := headings[d.database]
		if !partitioned {
			return
		}
		ctx := context.Background()
		// The first week is over, so that all its clicks have expired.
		today := time.Now().UTC().Truncate(24 * time.Hour)
		lastMonday := today.AddDate(0, 0, -7-(int(today.Weekday())+6)%7)
		db := d.open(t, d.create(t))
		newStore := func(t *testing.T) (*store, []string) {
			prefix := testserver.Name() + "_"
			blocks := guideSQL(t, heading, prefix, lastMonday)
			require.Len(t, blocks, 2)
			execAll(t, db, blocks[0])
			return d.migrated(t, db, prefix), blocks
		}
		storetest.Run(t, func(t *testing.T) clickid.Store {
			s, _ := newStore(t)
			return s
		}, storetest.Options{Dump: dump})

		s, blocks := newStore(t)
		inFirst := lastMonday.AddDate(0, 0, 2)
		s.fill(t, 1500, inFirst)
		s.fill(t, 10, inFirst.Add(7*24*time.Hour))
		purged, err := s.Purge(ctx, 700)
		require.NoError(t, err)
		require.Equal(t, 700, purged)
		execAll(t, db, blocks[1])
		require.Equal(t, 10, s.count(t, "clicks"))
		_, err = s.Save(ctx, clickid.Click{ID: "later", Param: "clkid", At: inFirst, Expires: inFirst.Add(17 * 24 * time.Hour)})
		require.NoError(t, err)
	})
}

var comments = regexp.MustCompile(`(?m)^--.*$`)

func execAll(t *testing.T, db *sql.DB, block string) {
	t.Helper()
	for _, statement := range strings.Split(comments.ReplaceAllString(block, ""), ";") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		_, err := db.ExecContext(context.Background(), statement)
		require.NoError(t, err)
	}
}
