package clickid_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// TestEventTypes checks that no constant is missing from the list.
func TestEventTypes(t *testing.T) {
	source, err := os.ReadFile("eventtypes.go")
	require.NoError(t, err)
	var constants []clickid.EventType
	for _, match := range regexp.MustCompile(`EventType = "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		constants = append(constants, clickid.EventType(match[1]))
	}
	require.NotEmpty(t, constants)
	require.Equal(t, constants, clickid.EventTypes())
}
