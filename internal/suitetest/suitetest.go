// Package suitetest runs a conformance suite on faulty implementations. Since a
// suite that finds a fault fails its test, it runs in another process.
package suitetest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// variable is the environment variable with the fault of the other process.
const variable = "CLICKID_SUITETEST_FAULT"

// Fault returns the fault that this process runs the suite with, or "".
func Fault() string { return os.Getenv(variable) }

// Run runs a test of this test binary with a fault, and returns the output. It
// fails t unless the test fails. check selects a subtest; "" runs all. The test
// calls [Fault].
func Run(t testing.TB, test, check, fault string) (output string) {
	t.Helper()
	pattern := "^" + test + "$"
	if check != "" {
		pattern += "/^" + check + "$"
	}
	cmd := exec.Command(os.Args[0], "-test.run="+pattern, "-test.timeout=10m")
	cmd.Env = append(os.Environ(), variable+"="+fault)
	content, err := cmd.CombinedOutput()
	output = string(content)
	switch {
	case err == nil:
		t.Fatalf("the suite passes an implementation that %s", fault)
	case !strings.Contains(output, "--- FAIL: "+test+"/"):
		t.Fatalf("the process failed for another reason: %v\n%s", err, output)
	}
	return output
}
