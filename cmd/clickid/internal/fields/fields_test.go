package fields_test

import (
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/cmd/clickid/internal/fields"
	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for column, want := range map[string]string{
		"id": "id", "Event ID": "id", "ORDER_NUMBER": "id", "order-id": "order", "Order.Date": "time",
		" E-Mail ": "email", "clkid": "click", "customer id": "external-id", "Total": "value",
	} {
		f, ok := fields.Find(column)
		require.True(t, ok, column)
		require.Equal(t, want, f.Name, column)
	}
	for _, column := range []string{"", "note", "total price"} {
		_, ok := fields.Find(column)
		require.False(t, ok, column)
	}
}

// TestAll checks that no name belongs to two fields.
func TestAll(t *testing.T) {
	t.Parallel()
	for _, f := range fields.All() {
		found, ok := fields.Find(f.Name)
		require.True(t, ok)
		require.Equal(t, f.Name, found.Name)
	}
}

func TestOptions_Event_time(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	set, ok := fields.Find("time")
	require.True(t, ok)
	for _, tt := range []struct {
		text, layout string
		zone         *time.Location
		want, reason string
	}{
		{"2026-11-20T14:03:00Z", "", nil, "2026-11-20T14:03:00Z", ""},
		{"2026-11-20T14:03:00.5+01:00", "", nil, "2026-11-20T13:03:00Z", ""},
		{"2026-11-20 14:03:00 +0100", "", nil, "2026-11-20T13:03:00Z", ""},
		{"1795183380", "", nil, "2026-11-20T14:03:00Z", ""},
		{"2026-11-20 14:03", "", berlin, "2026-11-20T13:03:00Z", ""},
		{"2026-06-20", "", berlin, "2026-06-19T22:00:00Z", ""},
		{"20.11.2026 14:03", "02.01.2006 15:04", berlin, "2026-11-20T13:03:00Z", ""},
		{"20.11.2026 14:03 +0000", "02.01.2006 15:04 -0700", nil, "2026-11-20T14:03:00Z", ""},
		{"2026-11-20 14:03", "", nil, "", "has no time zone"},
		{"20.11.2026 14:03", "02.01.2006 15:04", nil, "", "has no time zone"},
		{"20.11.2026", "02.01.2006 15:04", berlin, "", "-time-layout"},
		{"11/20/2026", "", berlin, "", "is not a time"},
		{"1795183380000", "", berlin, "", "is not a time"},
	} {
		event, err := fields.Options{Location: tt.zone, TimeLayout: tt.layout}.Event([]fields.Field{set}, []string{tt.text})
		if tt.reason != "" {
			require.ErrorContains(t, err, tt.reason, tt.text)
			continue
		}
		require.NoError(t, err, tt.text)
		require.Equal(t, tt.want, event.Time.UTC().Truncate(time.Second).Format(time.RFC3339), tt.text)
	}
}

func TestOptions_Event(t *testing.T) {
	t.Parallel()
	all := fields.All()
	texts := make([]string, len(all))
	for i, f := range all {
		texts[i] = map[string]string{
			"type": "Lead", "id": " 1 ", "value": "12.50", "email": "anna@example.com", "phone": "0171 1234567",
			"external-id": "c-1", "order": "o-1", "page": "https://shop.example/", "source": "App", "name": "n",
		}[f.Name]
	}
	event, err := fields.Options{Currency: "EUR", Hash: true, Region: "DE"}.Event(all, texts)
	require.NoError(t, err)
	require.Equal(t, clickid.Lead, event.Type)
	require.Equal(t, "1", event.ID)
	require.Equal(t, "12.50 EUR", event.Value.String())
	require.Equal(t, clickid.SourceApp, event.Source)
	require.Len(t, event.User.HashedEmail, 64)
	require.Len(t, event.User.HashedPhone, 64)

	_, err = fields.Options{Region: "DE", Currency: "EUR"}.Event(all, texts)
	require.EqualError(t, err, "email is plain text; -hash hashes it before it is sent")
}
