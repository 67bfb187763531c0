package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/clickid/clickid/cmd/clickid/internal/upload"
	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
)

// newProgress shows a bar with rate and remaining time on a terminal, and
// lines elsewhere.
func newProgress(w io.Writer) upload.Progress {
	if file, ok := w.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		return &progressBar{w: w}
	}
	return &progressLines{w: w}
}

type progressBar struct {
	w   io.Writer
	bar *progressbar.ProgressBar
}

func (p *progressBar) Start(phase string, rows int) {
	if rows == 0 {
		rows = -1 // a spinner
	}
	p.bar = progressbar.NewOptions(rows,
		progressbar.OptionSetWriter(p.w),
		progressbar.OptionSetDescription(phase),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("rows"),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionFullWidth(),
	)
}

func (p *progressBar) Advance(rows int) { _ = p.bar.Add(rows) }

func (p *progressBar) Finish() {
	_ = p.bar.Exit()
	fmt.Fprintln(p.w)
}

// progressLines prints a line every lineInterval.
type progressLines struct {
	w          io.Writer
	phase      string
	rows, done int
	next       time.Time
}

const lineInterval = 10 * time.Second

func (p *progressLines) Start(phase string, rows int) {
	p.phase, p.rows, p.done, p.next = phase, rows, 0, time.Now().Add(lineInterval)
}

func (p *progressLines) Advance(rows int) {
	p.done += rows
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(lineInterval)
		p.print()
	}
}

func (p *progressLines) Finish() { p.print() }

func (p *progressLines) print() {
	if p.rows > 0 {
		fmt.Fprintf(p.w, "%s: %d of %d rows\n", p.phase, p.done, p.rows)
		return
	}
	fmt.Fprintf(p.w, "%s: %d rows\n", p.phase, p.done)
}
