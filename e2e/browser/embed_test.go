package browser

import (
	"testing"

	"github.com/clickid/clickid"
	"github.com/stretchr/testify/require"
)

// TestCapture_embedded covers cookie stuffing: another site embeds the landing
// URL.
func TestCapture_embedded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, html string }{
		{"hidden image", `<img id="embed" hidden src="` + landing + `">`},
		{"iframe", `<iframe id="embed" src="` + landing + `"></iframe>`},
		{"script", `<script id="embed" src="` + landing + `"></script>`},
		{"style sheet", `<link id="embed" rel="stylesheet" href="` + landing + `">`},
		{"object", `<object id="embed" data="` + landing + `"></object>`},
		{"embed", `<embed id="embed" src="` + landing + `">`},
		{"fetch with credentials", `<script>embedded = fetch("` + landing + `", {mode: "no-cors", credentials: "include"}).then(() => null)</script>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.ads.HandleFunc("GET /stuffing", htmlPage("stuffing", tt.html))
			w.open("https://ads.test/stuffing", "stuffing")
			w.awaitSent(shopHost, "/landing", 1)
			eval[any](w.browser, "Promise.resolve(window.embedded)")
			w.storesNothing()
			require.Zero(t, w.observed(clickid.KindCaptured))
			require.Equal(t, 1, w.observed(clickid.KindRefused))

			w.open("https://shop.test/landing", "landing")
			require.Equal(t, "skipped: organic", w.buy())
		})
	}
}
