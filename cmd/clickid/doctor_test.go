package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/cmd/clickid/internal/demo"
	"github.com/clickid/clickid/cmd/clickid/internal/doctor"
	"github.com/stretchr/testify/require"
)

// faults returns the report of a call with -json, and the names of its faults
// and warnings.
func faults(t *testing.T, r result) (report doctor.Report, names []string) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &report), r.stderr)
	for _, f := range report.Findings {
		if f.Severity != doctor.OK {
			names = append(names, string(f.Name)+": "+f.Seen)
		}
	}
	return report, names
}

func TestDoctor_demo(t *testing.T) {
	t.Parallel()
	world, err := demo.Start(t.Context(), demo.Options{
		Addr: "127.0.0.1:0", Database: filepath.Join(t.TempDir(), "shop.db"), Dialect: demo.LogEvent, Log: io.Discard,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = world.Close(t.Context()) })
	r := call(t, "doctor", "-json", "-timeout", "1m", "-page", "/checkout/trail-shoe", "-checkout", "/orders", "-form", "payment=card", world.ShopURL()+"summer")
	require.Equal(t, 0, r.code, r.stderr)
	report, problems := faults(t, r)
	require.Empty(t, problems)
	require.Len(t, report.NotChecked, 1)
	require.Equal(t, "CLICKID_API_KEY is not set", report.NotChecked[0].Reason)

	r = call(t, "doctor", "-timeout", "1m", world.ShopURL())
	require.Equal(t, 0, r.code, r.stderr)
	require.True(t, strings.HasSuffix(r.stdout, "\n0 faults, 0 warnings, 45 ok\n"), r.stdout)
	require.Empty(t, r.stderr)
}

func TestDoctor_certificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake
	server.StartTLS()
	t.Cleanup(server.Close)
	r := call(t, "doctor", "-json", server.URL)
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "clickid: doctor: 1 fault, 0 warnings, 0 ok\n", r.stderr)
	_, problems := faults(t, r)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], "landing: tls: failed to verify certificate")

	authority := write(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	for file, want := range map[string]string{authority + ".missing": "-ca: open ", write(t, nil): "has no certificate in PEM form"} {
		r = call(t, "doctor", "-ca", file, server.URL)
		require.Equal(t, exitFailed, r.code, "as any file that cannot be read")
		require.Contains(t, r.stderr, want)
	}
	r = call(t, "doctor", "-json", "-ca", authority, server.URL)
	require.Equal(t, exitFailed, r.code)
	_, problems = faults(t, r)
	require.Equal(t, []string{"status: " + server.URL + "/?…: 404; " + server.URL + "/: 404", "cookie: "}, problems)
}

func TestDoctor_platform(t *testing.T) {
	t.Parallel()
	shop := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(shop.Close)
	platform := clickidtest.NewServer(t)
	r := callSending(t, platform, "", "doctor", "-json", "-advertiser", clickidtest.AdvertiserID, "-test-code", "TEST1", shop.URL)
	require.Equal(t, exitFailed, r.code, "the shop has no tracker")
	_, problems := faults(t, r)
	require.Len(t, problems, 3)
	require.Equal(t, "source-unseen: ", problems[2])
	events := platform.Accepted()
	require.Len(t, events, 1)
	require.Equal(t, "TEST1", events[0].TestCode)

	platform.Always(clickidtest.Fault{Status: http.StatusUnauthorized})
	r = callSending(t, platform, "", "doctor", shop.URL)
	require.Equal(t, exitFailed, r.code)
	require.Regexp(t, `fault +key +The platform does not accept the API key`, r.stdout)
}

func TestDoctor_usage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"doctor":                                      "doctor needs the URL of a page that ads link to",
		"doctor shop.example":                         "doctor needs the URL of a page",
		"doctor ftp://shop.example":                   "an address must be a URL such as https://shop.example/, without credentials",
		"doctor https://anna:secret@shop.example":     "without credentials",
		"doctor https://a.example https://b.example":  `unexpected argument "https://b.example"`,
		"doctor -form payment https://shop.example":   "-form must have the form NAME=VALUE",
		"doctor -checkout : https://shop.example":     "-checkout is not a URL",
		"doctor -page ftp://a https://shop.example":   "an address must be a URL",
		"doctor -ignore nothing https://shop.example": `unknown finding "nothing"; docs/doctor.md lists the names`,
		"doctor -timeout 0 https://shop.example":      "must be positive, such as 30s",
		"doctor -send-cookie x https://shop.example":  "a cookie must have the form NAME=VALUE",
		"doctor -param a=b https://shop.example":      "a parameter must consist of [A-Za-z0-9._~-]",
		"doctor -cookie a;b https://a.example":        "the name of the cookie must consist of visible ASCII characters",
	} {
		r := call(t, strings.Fields(args)...)
		require.Equal(t, exitUsage, r.code, args)
		require.Empty(t, r.stdout, args)
		require.Contains(t, r.stderr, want, args)
		require.NotContains(t, r.stderr, "secret")
	}
}

func TestDoctor_help(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(filepath.Join("testdata", "doctor-help.txt"))
	require.NoError(t, err)
	r := call(t, "doctor", "-h")
	require.Equal(t, 0, r.code)
	require.Equal(t, string(want), r.stdout)
}
