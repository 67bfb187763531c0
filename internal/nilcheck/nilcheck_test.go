package nilcheck_test

import (
	"io"
	"os"
	"testing"

	"github.com/clickid/clickid/internal/nilcheck"
	"github.com/stretchr/testify/require"
)

func TestIsNil(t *testing.T) {
	var reader io.Reader
	for name, v := range map[string]any{
		"nil": nil, "interface": reader, "pointer": (*os.File)(nil), "function": (func())(nil),
		"map": map[string]int(nil), "slice": []byte(nil), "channel": (chan int)(nil),
	} {
		require.True(t, nilcheck.IsNil(v), name)
	}
	for name, v := range map[string]any{
		"pointer": new(int), "zero value": 0, "struct": struct{}{}, "empty slice": []byte{}, "function": func() {},
	} {
		require.False(t, nilcheck.IsNil(v), name)
	}
}
