package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzSend runs send without a request. The exit code is 0 exactly if the
// result in JSON is ready, wrong usage prints no result, and nothing prints the
// API key.
func FuzzSend(f *testing.F) {
	const key = "scope3_a_key_that_is_never_printed"
	f.Setenv("CLICKID_API_KEY", key)
	f.Setenv("CLICKID_EVENT_SOURCE", "shop")
	for _, value := range []string{"", "1", "order 1", "-1", "--json", "149.99", "EUR", "Europe/Berlin", "2026-11-20 14:03", "anna@example.com", "\x00", "\xff", "a,b", "../etc/passwd"} {
		f.Add(value, "order-1", "149.99", "EUR", "")
		f.Add("abc", value, value, value, value)
	}
	f.Fuzz(func(t *testing.T, click, id, value, currency, zone string) {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), []string{
			"clickid", "send", "--dry-run", "--json", "--click=" + click, "--id=" + id, "--value=" + value, "--currency=" + currency, "--timezone=" + zone,
		}, &stdout, &stderr)
		if strings.Contains(stdout.String()+stderr.String(), key) {
			t.Fatal("the API key is printed")
		}
		var result struct{ Verdict string }
		err := json.Unmarshal(stdout.Bytes(), &result)
		switch {
		case code == exitUsage && stdout.Len() == 0 && strings.HasPrefix(stderr.String(), "clickid: "):
		case code == exitFailed && err == nil && result.Verdict != "ready" && stderr.Len() > 0:
		case code == 0 && err == nil && result.Verdict == "ready" && stderr.Len() == 0:
		default:
			t.Fatalf("exit code %d, %s, %s", code, &stdout, &stderr)
		}
	})
}
