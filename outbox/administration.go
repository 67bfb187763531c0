package outbox

import (
	"context"
	"errors"

	"github.com/clickid/clickid"
)

// Administration returns a destination that has only a name. With it, an outbox
// needs neither client nor API key to find, list, replay, discard and erase
// events; tools use it. Such an outbox accepts and delivers no event: Send
// reports failed, and Start returns an error.
//
// The name is that of the real destination, such as "logevent ping.scope3.com
// my-shop"; see capi.DestinationName.
func Administration(name string) Destination { return administration(name) }

type administration string

var errAdministration = errors.New("outbox: the outbox has a destination of Administration, which is for tools; use the client as its Destination to send events")

func (a administration) Name() string { return string(a) }

func (a administration) Check(e clickid.Event) clickid.Result {
	return clickid.Result{Type: e.Type, ID: e.ID, Destination: string(a), Verdict: clickid.VerdictFailed, Err: errAdministration}
}

func (a administration) Deliver(_ context.Context, items []Item) (clickid.Report, error) {
	report := clickid.Report{Results: make([]clickid.Result, len(items))}
	for i, item := range items {
		report.Results[i] = a.Check(item.Event)
	}
	return report, errAdministration
}

// CheckStart returns an error if the destination is that of [Administration]. A
// queue calls it at its start.
func (d *Delivery) CheckStart() error {
	if _, ok := d.cfg.Destination.(administration); ok {
		return errAdministration
	}
	return nil
}
