package sqlstore

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
)

// TestSave_canceledWait has another writer of the SQLite store.
func TestSave_canceledWait(t *testing.T) {
	s := newScripted(t, DatabaseSQLite, nil)
	s.writing <- struct{}{}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	at := time.Unix(time.Now().Unix(), 0)
	c := clickid.Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: at, Expires: at.Add(time.Hour)}
	_, err := s.Save(ctx, c)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	<-s.writing
	_, err = s.Save(context.Background(), c)
	require.NoError(t, err)
}
