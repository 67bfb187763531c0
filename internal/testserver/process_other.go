//go:build !unix

package testserver

import (
	"os"
	"os/exec"
)

// Private servers need Unix; see find.
const canStart = false

var terminate, freeze, thaw = os.Kill, os.Kill, os.Kill

func runAs(*exec.Cmd, string) error { return nil }

func own(string, string) error { return nil }
