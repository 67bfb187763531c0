package capi_test

import (
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/capi"
	"github.com/clickid/clickid/clickidtest"
	"github.com/clickid/clickid/outbox"
	"github.com/clickid/clickid/outbox/outboxtest"
	"github.com/stretchr/testify/require"
)

// TestClient_destination runs the suite of the destinations of an outbox.
func TestClient_destination(t *testing.T) {
	for name, dialect := range map[string]capi.Dialect{
		"ECAPI":    capi.ECAPI{DataSetID: clickidtest.DataSetID},
		"LogEvent": capi.LogEvent{EventSourceID: clickidtest.EventSourceID},
	} {
		t.Run(name, func(t *testing.T) {
			outboxtest.RunDestination(t, func(t testing.TB) outboxtest.Platform {
				receiver := clickidtest.NewServer(t)
				var mu sync.Mutex
				lift := func() {}
				return outboxtest.Platform{
					Open: func(t testing.TB, resolver clickid.Resolver) outbox.Destination {
						client, err := capi.New(capi.Config{
							APIKey: clickidtest.APIKey, BaseURL: receiver.URL, Dialect: dialect, Resolver: resolver,
							Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
						})
						require.NoError(t, err)
						return client
					},
					Behave: func(b outboxtest.Behaviour) {
						mu.Lock()
						defer mu.Unlock()
						lift()
						lift = func() {}
						switch b.Kind {
						case outboxtest.BehaviourUnavailable:
							lift = receiver.Always(clickidtest.Fault{Status: http.StatusServiceUnavailable})
						case outboxtest.BehaviourHangs:
							hold := make(chan struct{})
							end := receiver.Always(clickidtest.Fault{Hold: hold})
							lift = func() { end(); close(hold) }
						case outboxtest.BehaviourRefusesConfiguration:
							lift = receiver.Always(clickidtest.Fault{Status: http.StatusUnauthorized})
						case outboxtest.BehaviourRefusesEvents:
							lift = receiver.RefuseEvents(clickidtest.EventRefusal{IDs: b.IDs})
						}
					},
					Requests: func() int { return len(receiver.Requests()) },
					Accepted: func() (accepted []outboxtest.AcceptedEvent) {
						for _, e := range receiver.Accepted() {
							accepted = append(accepted, outboxtest.AcceptedEvent{ID: e.ID, ClickID: e.ClickID})
						}
						return accepted
					},
				}
			})
		})
	}
}
