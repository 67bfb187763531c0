package outbox_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
)

// TestTable_In_poolOfOne sends in a transaction that has the only connection.
func TestTable_In_poolOfOne(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, d database) {
		db := d.open(t)
		table := d.table(t, db)
		db.SetMaxOpenConns(1)
		tx, err := db.BeginTx(context.Background(), nil)
		require.NoError(t, err)
		result, err := clickid.Convert(context.Background(), table.In(db), newEvent("order"))
		require.ErrorContains(t, err, "use In(tx)")
		require.Equal(t, clickid.VerdictFailed, result.Verdict)
		// The order's transaction is intact.
		_, err = clickid.Convert(context.Background(), table.In(tx), newEvent("order"))
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		require.Equal(t, 1, count(t, table, db))
	})
}
