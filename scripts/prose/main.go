// Prose checks the English of the repository: the comments and strings of its
// Go files, its documentation, pages and scripts, and the names that its Go
// code declares.
//
//	go run ./prose -root ..           # report phrases.txt and limits that are exceeded
//	go run ./prose -root .. adapter_gin outbox/outboxtest
//	go run ./prose -root .. -count    # print frequencies for each package
//
// phrases.txt lists what is not written here and what to write instead,
// allowed.txt the legitimate uses. Both files explain their format.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"io"
	"os"
)

//go:embed phrases.txt
var phrasesFile string

//go:embed allowed.txt
var allowedFile string

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 1 for findings, 2 for wrong usage.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("prose", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "the `folder` of the repository")
	onlyCount := flags.Bool("count", false, "print frequencies in place of findings")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	texts, err := read(*root, flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, "prose:", err)
		return 2
	}
	if *onlyCount {
		printCounts(stdout, texts)
		return 0
	}

	findings, err := lint(texts, phrasesFile, allowedFile, len(flags.Args()) == 0)
	if err != nil {
		fmt.Fprintln(stderr, "prose:", err)
		return 2
	}
	for _, f := range findings {
		fmt.Fprintln(stdout, f)
	}
	if len(findings) > 0 {
		fmt.Fprintf(stdout, "prose: %d findings; legitimate uses go into scripts/prose/allowed.txt\n", len(findings))
		return 1
	}
	return 0
}
