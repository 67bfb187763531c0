package examples_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// span is a span as the shop prints it.
type span struct {
	Name                string
	SpanContext, Parent spanContext
	StartTime, EndTime  time.Time
	Links               []struct{ SpanContext spanContext }
}

type spanContext struct{ TraceID, SpanID string }

// label is a span with the names of its parent and of what it links to.
type label struct{ name, parent, links string }

// TestTelemetry_trace compares the picture of an order's trace in the guide with
// the spans that the shop prints. CLICKID_UPDATE=1 draws it again.
func TestTelemetry_trace(t *testing.T) {
	t.Parallel()
	const picture = "../docs/images/trace.svg"
	s := startMeasured(t)
	s.buy(t, s.land(t))
	s.await(t, `clickid_outbox_outcomes_total{clickid_event_type="purchase",clickid_outcome="delivered"} 1`)
	s.stop(t)
	traces := spansOfOrder(t, s.output.String())
	if os.Getenv("CLICKID_UPDATE") != "" {
		require.NoError(t, os.WriteFile(picture, []byte(draw(traces)), 0o644))
	}
	source, err := os.ReadFile(picture)
	require.NoError(t, err)
	var drawn []label
	for _, m := range regexp.MustCompile(`data-span="([^"]*)" data-parent="([^"]*)" data-links="([^"]*)"`).FindAllStringSubmatch(string(source), -1) {
		drawn = append(drawn, label{m[1], m[2], m[3]})
	}
	var exported []label
	for _, trace := range traces {
		for _, sp := range trace {
			exported = append(exported, labelOf(sp, traces))
		}
	}
	require.ElementsMatch(t, exported, drawn)
}

// spansOfOrder returns the spans of the landing, of the order, and of the request
// to the platform.
func spansOfOrder(t *testing.T, output string) [][]span {
	byTrace := map[string][]span{}
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "{") {
			continue // a line of the log
		}
		var sp span
		require.NoError(t, json.Unmarshal([]byte(line), &sp))
		byTrace[sp.SpanContext.TraceID] = append(byTrace[sp.SpanContext.TraceID], sp)
	}
	var traces [][]span
	for _, name := range []string{"clickid.store.save", "POST /orders", "clickid.attempt"} {
		for _, trace := range byTrace {
			if slices.ContainsFunc(trace, func(sp span) bool { return sp.Name == name }) {
				traces = append(traces, childrenOf(spanContext{}, trace))
			}
		}
	}
	require.Len(t, traces, 3)
	return traces
}

// childrenOf returns the spans below a parent, each followed by its own. Those
// without a parent have one of zeros.
func childrenOf(parent spanContext, trace []span) []span {
	var below []span
	for _, sp := range slices.SortedFunc(slices.Values(trace), func(a, b span) int { return a.EndTime.Compare(b.EndTime) }) {
		if sp.Parent == parent || parent == (spanContext{}) && depth(sp, trace) == 0 {
			below = append(append(below, sp), childrenOf(sp.SpanContext, trace)...)
		}
	}
	return below
}

func depth(sp span, trace []span) int {
	for _, parent := range trace {
		if parent.SpanContext == sp.Parent {
			return 1 + depth(parent, trace)
		}
	}
	return 0
}

func labelOf(sp span, traces [][]span) label {
	l := label{name: sp.Name}
	for _, trace := range traces {
		for _, other := range trace {
			if other.SpanContext == sp.Parent {
				l.parent = other.Name
			}
			for _, link := range sp.Links {
				if link.SpanContext == other.SpanContext {
					l.links = other.Name
				}
			}
		}
	}
	return l
}

const (
	barsLeft, barsWidth = 230, 560
	rowHeight           = 26
)

// draw returns the traces as an SVG. Order and request share a time axis.
func draw(traces [][]span) string {
	var body strings.Builder
	y, sendY, linkY, sendX, linkX := 0, 0, 0, 0, 0
	var begin, end time.Time
	for i, trace := range traces {
		if i < 2 {
			begin, end = trace[0].StartTime, trace[0].EndTime
			shared := traces[i : i+1]
			if i == 1 {
				shared = traces[1:]
			}
			for _, sp := range slices.Concat(shared...) {
				if sp.EndTime.After(end) {
					end = sp.EndTime
				}
			}
		}
		y += 24
		fmt.Fprintf(&body, "  <text x=\"2\" y=\"%d\" fill=\"#7a828e\" font-weight=\"600\">%s</text>\n", y, []string{"Landing", "Order", "Request"}[i])
		y += 10
		for _, sp := range trace {
			scale := float64(barsWidth) / float64(end.Sub(begin))
			from := max(0, int(scale*float64(sp.StartTime.Sub(begin))))
			width := max(4, int(scale*float64(sp.EndTime.Sub(begin)))-from)
			color := map[bool]string{true: "#3f51b5", false: "#4b5563"}[strings.HasPrefix(sp.Name, "clickid.")]
			switch sp.Name {
			case "clickid.send":
				sendX, sendY = barsLeft+from+width/2, y+rowHeight-6
			case "clickid.attempt":
				linkX, linkY, color = barsLeft+from+width/2, y+6, "#1f7a4d"
			}
			l := labelOf(sp, traces)
			fmt.Fprintf(&body, "  <g data-span=\"%s\" data-parent=\"%s\" data-links=\"%s\">\n", l.name, l.parent, l.links)
			fmt.Fprintf(&body, "    <text x=\"%d\" y=\"%d\" fill=\"#7a828e\">%s</text>\n", 12+16*depth(sp, trace), y+18, sp.Name)
			fmt.Fprintf(&body, "    <rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"14\" rx=\"3\" fill=\"%s\"/>\n", barsLeft+from, y+6, width, color)
			fmt.Fprintf(&body, "    <text x=\"%d\" y=\"%d\" fill=\"#7a828e\" font-size=\"12\">%.1f ms</text>\n  </g>\n", barsLeft+from+width+6, y+18, float64(sp.EndTime.Sub(sp.StartTime).Microseconds())/1000)
			y += rowHeight
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 %d" role="img" aria-labelledby="title description" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13">
  <title id="title">The traces of an order</title>
  <desc id="description">The landing stores the click. The order's trace has the Send to the outbox, the commit, the lookup of the click and the delivery. The request to the platform is a trace of its own with a link to the Send.</desc>
%s  <path d="M%d %dV%dH%dV%d" fill="none" stroke="#2f9e6b" stroke-width="2" stroke-dasharray="5 5"/>
  <text x="%d" y="%d" fill="#7a828e" font-size="12">link</text>
</svg>
`, y+8, &body, linkX, linkY, linkY-14, sendX, sendY, (sendX+linkX)/2, linkY-20)
}
