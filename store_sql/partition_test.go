package sqlstore

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/testserver"
	"github.com/clickid/clickid/storetest"
)

// guideSQL returns the blocks of SQL under a heading of docs/scaling.md, for
// another prefix.
func guideSQL(t *testing.T, heading, prefix string) (blocks []string) {
	t.Helper()
	guide, err := os.ReadFile("../docs/scaling.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(guide), "\n### "+heading+"\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n#")
	for _, rest := range strings.Split(section, "```sql\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		blocks = append(blocks, strings.ReplaceAll(block, DefaultPrefix, prefix))
	}
	return blocks
}

// The partitioned tables that the guide makes are as good as those of the
// migrations, and a partition leaves as the guide says.
func TestPartitionsOfTheGuide(t *testing.T) {
	headings := map[Database]string{DatabasePostgreSQL: "Partitions in PostgreSQL", DatabaseMySQL: "Partitions in MySQL and MariaDB"}
	onEachEngine(t, func(t *testing.T, e engine) {
		heading, partitioned := headings[e.database]
		if !partitioned {
			return
		}
		ctx := context.Background()
		db := e.open(t, e.create(t))
		newStore := func(t *testing.T) (*Store, []string) {
			prefix := testserver.Name() + "_"
			blocks := guideSQL(t, heading, prefix)
			require.Len(t, blocks, 2)
			execAll(t, db, blocks[0])
			return e.migrated(t, db, prefix), blocks
		}
		storetest.Run(t, func(t *testing.T) clickid.Store {
			s, _ := newStore(t)
			return s
		}, storetest.Options{Advance: advance, Dump: dump})

		s, blocks := newStore(t)
		inFirst := time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)
		s.fill(t, 1500, inFirst)
		s.fill(t, 10, inFirst.Add(7*24*time.Hour))
		s.now = func() time.Time { return inFirst }
		purged, err := s.Purge(ctx, 700)
		require.NoError(t, err)
		require.Equal(t, 700, purged)
		execAll(t, db, blocks[1])
		require.Equal(t, 10, s.count(t, "clicks"))
		_, err = s.Save(ctx, clickid.Click{ID: "later", Param: "clkid", At: inFirst, Expires: inFirst.Add(17 * 24 * time.Hour)})
		require.NoError(t, err)
	})
}

func execAll(t *testing.T, db *sql.DB, block string) {
	t.Helper()
	for _, statement := range splitStatements(block) {
		_, err := db.ExecContext(context.Background(), statement)
		require.NoError(t, err)
	}
}
