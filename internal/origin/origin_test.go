package origin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTransportOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		url    string
		header string
		want   Transport
	}{
		"TLS":                                    {"https://shop.example/", "", Secure},
		"no evidence":                            {"http://shop.example/", "", Unknown},
		"fetch metadata":                         {"http://shop.example/", "Sec-Fetch-Site: none", Secure},
		"a proxy with TLS":                       {"http://shop.example/", "X-Forwarded-Proto: https", Secure},
		"a proxy with TLS, RFC 7239":             {"http://shop.example/", `Forwarded: for=192.0.2.1;proto="https"`, Secure},
		"a proxy without TLS":                    {"http://shop.example/", "X-Forwarded-Proto: http", Plain},
		"loopback":                               {"http://127.0.0.1:8080/", "", Secure},
		"localhost":                              {"http://shop.localhost/", "", Secure},
		"a proxy with TLS that sends no host":    {"http://127.0.0.1:8080/", "X-Forwarded-Proto: https", Secure},
		"a proxy without TLS that sends no host": {"http://127.0.0.1:8080/", "X-Forwarded-Proto: http", Unknown},
	} {
		r := httptest.NewRequest(http.MethodGet, tt.url, nil)
		if field, value, found := strings.Cut(tt.header, ": "); found {
			r.Header.Set(field, value)
		}
		require.Equal(t, tt.want, TransportOf(r), name)
	}
}
