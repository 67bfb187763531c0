package clickid_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/extension"
	"github.com/stretchr/testify/require"
)

// stringContext is a framework's own context, such as *gin.Context: it finds
// what was put into it by string, and not what the request's context carries.
type stringContext struct {
	context.Context
	values map[string]any
}

func (c stringContext) Value(key any) any {
	name, _ := key.(string)
	return c.values[name]
}

func TestContextKey_foreignContext(t *testing.T) {
	tracker := newTracker(t, clickid.Config{})
	r := tracker.Capture(httptest.NewRecorder(), httptest.NewRequest("GET", "/?clkid="+documentedID, nil))
	foreign := stringContext{context.Background(), map[string]any{}}

	_, err := clickid.Lookup(foreign)
	require.ErrorIs(t, err, clickid.ErrNotFound)

	foreign.values[extension.ContextKey] = r.Context().Value(extension.ContextKey)
	click, err := clickid.Lookup(foreign)
	require.NoError(t, err)
	require.Equal(t, documentedID, click.ID)
}

func TestContextKey_withoutClick(t *testing.T) {
	tracker := newTracker(t, clickid.Config{})
	r := tracker.Capture(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.Nil(t, r.Context().Value(extension.ContextKey))
}

func TestContextKey_remember(t *testing.T) {
	tracker := newTracker(t, clickid.Config{Consent: func(*http.Request) clickid.Consent { return clickid.ConsentUnknown }})
	w := httptest.NewRecorder()
	landing := tracker.Capture(w, httptest.NewRequest("GET", "/?clkid="+documentedID, nil))
	require.Empty(t, w.Header()["Set-Cookie"], "nothing is stored before consent")
	_, ok := clickid.Token(landing.Context())
	require.False(t, ok)

	remembered, err := tracker.Remember(w, landing, "")
	require.NoError(t, err)
	require.Same(t, landing, remembered, "a copy would lose the files of a form")
	require.Equal(t, landing.Context(), tracker.Context(landing))
	require.Len(t, w.Result().Cookies(), 1)
	for _, ctx := range []context.Context{landing.Context(), remembered.Context()} {
		token, ok := clickid.Token(ctx)
		require.True(t, ok)
		require.Equal(t, w.Result().Cookies()[0].Value, token)
	}
}
