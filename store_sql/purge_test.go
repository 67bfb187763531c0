package sqlstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clickid/clickid"
)

func TestPurgeEvery_shortInterval(t *testing.T) {
	for _, interval := range []time.Duration{0, -time.Hour, time.Millisecond} {
		err := (&Store{}).PurgeEvery(context.Background(), interval, nil)
		require.ErrorContains(t, err, "at least a second")
		require.False(t, errors.Is(err, clickid.ErrInvalid))
	}
}
