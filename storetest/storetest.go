// Package storetest is a conformance suite for implementations of
// [clickid.Store] and [clickid.Linker]. It checks every sentence of their
// contracts:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) clickid.Store {
//			return mystore.New(openDatabase(t))
//		}, storetest.Options{})
//	}
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/clickid/clickid"
)

// Options describe the store under test. The zero value is right for a store
// that keeps its clicks on a server.
type Options struct {
	// Stateless marks a store whose tokens contain the click. It cannot delete,
	// and it may return equal tokens for equal clicks.
	Stateless bool
	// Advance moves the clock of a store or linker. Without it the suite waits
	// some seconds until clicks and links expire in real time.
	Advance func(t *testing.T, store any, d time.Duration)
	// Dump returns all keys and values of a store or linker as they are on its
	// disk. Binary data is raw or in hexadecimal. Without Dump the secrecy of
	// tokens and keys is not checked.
	Dump func(t *testing.T, store any) []byte
	// Break makes a store or linker unavailable, for instance by closing the
	// connections of its server, and returns a function that makes it available
	// again. Without Break the suite does not check what calls return during an
	// outage.
	Break func(t *testing.T, store any) (repair func())
	// Hang keeps a store or linker from getting responses, for instance by
	// pausing its server, and returns a function that ends that. Without Hang
	// the suite does not check that a context ends calls in their middle.
	Hang func(t *testing.T, store any) (resume func())
}

// Run checks a store, and also its [clickid.TokenChecker] and [clickid.Linker]
// if it implements them. Every check calls newStore for a new store that
// shares no data with the others: it has its own key, prefix or database.
// newStore releases resources with t.Cleanup.
func Run(t *testing.T, newStore func(t *testing.T) clickid.Store, options Options) {
	checks := []check[fixture]{
		{"a saved click is found again", savedClickIsFound},
		{"times are whole seconds in UTC", timesAreWholeSeconds},
		{"tokens have their form", tokensHaveTheirForm},
		{"tokens begin with their issue time", tokensBeginWithTheirIssueTime},
		{"tokens cannot be guessed", tokensCannotBeGuessed},
		{"an unacceptable click is invalid", unacceptableClickIsInvalid},
		{"a malformed token is invalid", malformedTokenIsInvalid},
		{"a token of another store finds nothing", foreignTokenFindsNothing},
		{"delete forgets one click", deleteForgetsOneClick},
		{"deleting an unknown click succeeds", deletingUnknownSucceeds},
		{"a click expires", clickExpires},
		{"the end of the context ends a store call", contextEndsStoreCalls},
		{"errors keep secrets", errorsKeepSecrets},
		{"many visitors at once", manyVisitorsAtOnce},
	}
	if options.Dump != nil {
		checks = append(checks, check[fixture]{"a dump of the clicks holds no token", dumpHoldsNoToken})
	}
	if options.Break != nil {
		checks = append(checks, check[fixture]{"a broken store tells so", brokenStoreTellsSo})
	}
	if options.Hang != nil {
		checks = append(checks, check[fixture]{"the context ends the calls of a store that hangs", hangingStoreEndsWithContext})
	}
	example := newStore(t)
	if _, ok := example.(clickid.TokenChecker); ok {
		checks = append(checks, check[fixture]{"a token is checked without the store", tokenIsChecked})
	}
	_, linking := example.(clickid.Linker)
	if linking {
		checks = append(checks,
			check[fixture]{"a click is found by the application's key", clickIsFoundByKey},
			check[fixture]{"deleting a click unlinks it", deletingUnlinks},
			check[fixture]{"deleting a click leaves the later links", deletingLeavesLaterLinks},
			check[fixture]{"many visitors link at once", manyVisitorsLinkAtOnce},
		)
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, fixture{Options: options, ctx: testContext(t), newStore: newStore, store: newStore(t)})
		})
	}
	if linking {
		RunLinker(t, func(t *testing.T) clickid.Linker { return newStore(t).(clickid.Linker) }, options)
	}
}

// RunLinker checks a linker. [Run] calls it for a store that is a linker. Every
// check calls newLinker for a new linker that shares no data with the others.
func RunLinker(t *testing.T, newLinker func(t *testing.T) clickid.Linker, options Options) {
	checks := []check[linkerFixture]{
		{"a linked token is found", linkedTokenIsFound},
		{"an unknown key finds nothing", unknownKeyFindsNothing},
		{"an empty key and an empty token are invalid", emptyIsInvalid},
		{"the latest link of a key wins", latestLinkWins},
		{"several keys hold one token", severalKeysHoldOneToken},
		{"kinds of keys are distinct", kindsAreDistinct},
		{"strange keys are distinct", strangeKeysAreDistinct},
		{"unlink removes one link", unlinkRemovesOneLink},
		{"unlink takes a key that was read back", unlinkTakesReadBackKey},
		{"unlinking a token removes all its links", unlinkTokenRemovesItsLinks},
		{"unlinking a token leaves the later links", unlinkTokenLeavesLaterLinks},
		{"a link expires", linkExpires},
		{"an expired link is invalid", expiredLinkIsInvalid},
		{"the end of the context ends a link call", contextEndsLinkerCalls},
		{"many links at once", manyLinksAtOnce},
		{"links and unlinking at once", linksAndUnlinkingAtOnce},
		{"a key that moves is never unlinked", movingKeyIsNeverUnlinked},
	}
	if options.Dump != nil {
		checks = append(checks, check[linkerFixture]{"a dump of the links holds no secret", dumpHoldsNoSecret})
	}
	if options.Break != nil {
		checks = append(checks, check[linkerFixture]{"a broken linker tells so", brokenLinkerTellsSo})
	}
	if options.Hang != nil {
		checks = append(checks, check[linkerFixture]{"the context ends the calls of a linker that hangs", hangingLinkerEndsWithContext})
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, linkerFixture{Options: options, ctx: testContext(t), linker: newLinker(t)})
		})
	}
}

// check checks a part of a contract.
type check[F fixture | linkerFixture] struct {
	name string
	run  func(*testing.T, F)
}

// fixture holds the values that a check of a store uses.
type fixture struct {
	Options
	ctx      context.Context
	newStore func(*testing.T) clickid.Store
	store    clickid.Store
}

// linkerFixture holds the values that a check of a linker uses.
type linkerFixture struct {
	Options
	ctx    context.Context
	linker clickid.Linker
}

// testContext returns a context that ends after a minute, so that the check of
// a store that hangs fails.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
