package sqlstore_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/erasuretest"
	"github.com/clickid/clickid/internal/testserver"
	sqlstore "github.com/clickid/clickid/store_sql"
	"github.com/clickid/clickid/storetest"
)

func TestStore(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		db := d.open(t, d.create(t))
		storetest.Run(t, func(t *testing.T) clickid.Store {
			return d.migrated(t, db, testserver.Name()+"_")
		}, storetest.Options{Dump: dump})
	})
}

func TestStore_erasure(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		s, _ := d.store(t)
		erasuretest.RunStore(t, s)
	})
}

// dump returns all columns of all rows.
func dump(t *testing.T, tested any) []byte {
	t.Helper()
	s := tested.(*store)
	var all bytes.Buffer
	for _, table := range []string{"clicks", "links"} {
		rows, err := s.db.QueryContext(context.Background(), "SELECT * FROM "+s.prefix+table)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			require.NoError(t, rows.Scan(dest...))
			for _, value := range values {
				if b, ok := value.([]byte); ok {
					all.Write(b)
				} else {
					fmt.Fprint(&all, value)
				}
				all.WriteByte(' ')
			}
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	}
	return all.Bytes()
}

func TestNew_longestPrefix(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		db := d.open(t, d.create(t))
		first := d.migrated(t, db, strings.Repeat("a", 32))
		second := d.migrated(t, db, strings.Repeat("a", 32-1)+"b")
		token, err := first.Save(context.Background(), newClick("first"))
		require.NoError(t, err)
		_, err = first.Load(context.Background(), token)
		require.NoError(t, err)
		_, err = second.Load(context.Background(), token)
		require.ErrorIs(t, err, clickid.ErrNotFound)
	})
}

func TestStore_timeZones(t *testing.T) {
	// Winter, summer, and the hour that New York has twice.
	times := []time.Time{
		time.Date(2040, 1, 15, 12, 0, 0, 0, time.UTC), time.Date(2040, 7, 15, 12, 0, 0, 0, time.UTC),
		time.Date(2040, 11, 4, 5, 30, 0, 0, time.UTC), time.Date(2040, 11, 4, 6, 30, 0, 0, time.UTC),
	}
	settings := map[sqlstore.Database][]string{
		sqlstore.DatabasePostgreSQL: {"timezone=America/New_York", "timezone=Asia/Kolkata"},
		sqlstore.DatabaseMySQL: {
			"time_zone=" + url.QueryEscape("'-08:00'"), "parseTime=true&loc=America%2FNew_York",
			"parseTime=true&loc=Asia%2FTokyo&time_zone=" + url.QueryEscape("'+05:30'") + "&interpolateParams=true",
		},
		sqlstore.DatabaseSQLite: {"_time_format=sqlite"},
	}
	stored := map[sqlstore.Database]string{
		sqlstore.DatabasePostgreSQL: "to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')",
		sqlstore.DatabaseMySQL:      "CAST(expires_at AS CHAR)",
		sqlstore.DatabaseSQLite:     "datetime(expires_at, 'unixepoch')",
	}
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		dsn := d.create(t)
		plain := d.migrated(t, d.open(t, dsn), sqlstore.DefaultPrefix)
		for _, setting := range settings[d.database] {
			elsewhere := d.migrated(t, d.open(t, d.with(dsn, setting)), sqlstore.DefaultPrefix)
			for _, at := range times {
				c := clickid.Click{ID: fmt.Sprint(at.Unix()), Param: "clkid", At: at.Add(-time.Hour), Expires: at}
				for _, saving := range []*store{plain, elsewhere} {
					token, err := saving.Save(ctx, c)
					require.NoError(t, err)
					for _, loading := range []*store{plain, elsewhere} {
						got, err := loading.Load(ctx, token)
						require.NoError(t, err)
						require.Equal(t, c, got, setting)
					}
				}
				var text string
				err := plain.db.QueryRow("SELECT " + stored[d.database] + " FROM clickid_clicks WHERE click_id = '" + c.ID + "'").Scan(&text)
				require.NoError(t, err)
				require.Equal(t, at.Format(time.DateTime), text, setting)
			}
		}
	})
}

func TestStore_missingTables(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		s := d.newStore(t, d.open(t, d.create(t)))
		_, err := s.Save(context.Background(), newClick("01ARZ3NDEKTSV4RRFFQ69G5FAV"))
		require.ErrorContains(t, err, "sqlstore: saving the click in "+string(d.database)+": the tables are missing")
		require.NotContains(t, err.Error(), "01ARZ3")
		_, err = s.Linked(context.Background(), clickid.OrderKey("42"))
		require.ErrorContains(t, err, "the tables are missing")
		_, err = s.Purge(context.Background(), 1)
		require.ErrorContains(t, err, "the tables are missing")
	})
}

func TestLinked_exchangedTokens(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		ctx := context.Background()
		s, db := d.store(t)
		k := clickid.OrderKey("42")
		require.NoError(t, s.Link(ctx, k, "token", time.Now().Add(time.Hour)))
		// Copying the token of another link must not give an order its click.
		require.NoError(t, s.Link(ctx, clickid.OrderKey("43"), "another", time.Now().Add(time.Hour)))
		_, err := db.ExecContext(ctx, "UPDATE clickid_links SET sealed_token = (SELECT MAX(sealed_token) FROM (SELECT sealed_token FROM clickid_links) AS x)")
		if d.database == sqlstore.DatabasePostgreSQL {
			_, err = db.ExecContext(ctx, "UPDATE clickid_links SET sealed_token = (SELECT sealed_token FROM clickid_links LIMIT 1)")
		}
		require.NoError(t, err)
		var failures int
		for _, order := range []string{"42", "43"} {
			if _, err := s.Linked(ctx, clickid.OrderKey(order)); err != nil {
				require.ErrorIs(t, err, clickid.ErrInvalid)
				failures++
			}
		}
		require.Equal(t, 1, failures)
	})
}
