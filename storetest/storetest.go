// Package storetest checks implementations of [clickid.Store] and
// [clickid.Linker], sentence by sentence of their contracts. The stores of
// this project pass it, and so should yours:
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

// Options say what the suite cannot find out by itself. The zero value is a
// store that keeps its clicks on a server.
type Options struct {
	// Stateless is a store whose tokens contain the click: it cannot delete,
	// and saves equal clicks under equal tokens.
	Stateless bool
	// Advance moves the clock of a store or linker that the test made, where
	// that has one of its own. Without it the suite waits some seconds for
	// clicks and links to expire in real time.
	Advance func(t *testing.T, store any, d time.Duration)
	// Dump returns everything that a store or linker keeps, keys and values,
	// binary ones raw or in hexadecimal, as somebody would find it who stole
	// the disk. Without it the secrecy of tokens and keys is not checked.
	Dump func(t *testing.T, store any) []byte
}

// Run checks a store, and also its [clickid.TokenChecker] and
// [clickid.Linker] where it has them. Every check calls newStore for a store
// of its own, which knows nothing of the others': it has another key, prefix
// or database. What is to be released afterwards goes to t.Cleanup.
func Run(t *testing.T, newStore func(t *testing.T) clickid.Store, options Options) {
	checks := []check[fixture]{
		{"a saved click is found again", savedClickIsFound},
		{"times are whole seconds in UTC", timesAreWholeSeconds},
		{"tokens have their form", tokensHaveTheirForm},
		{"tokens cannot be guessed", tokensCannotBeGuessed},
		{"an unacceptable click is invalid", unacceptableClickIsInvalid},
		{"a malformed token is invalid", malformedTokenIsInvalid},
		{"a token of another store finds nothing", foreignTokenFindsNothing},
		{"delete forgets one click", deleteForgetsOneClick},
		{"deleting what is not there is no error", deletingNothingIsNoError},
		{"a click expires", clickExpires},
		{"the end of the context ends a store call", contextEndsStoreCalls},
		{"errors keep secrets", errorsKeepSecrets},
		{"many visitors at once", manyVisitorsAtOnce},
	}
	if options.Dump != nil {
		checks = append(checks, check[fixture]{"a dump of the clicks holds no token", dumpHoldsNoToken})
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

// RunLinker checks a linker; [Run] does so for a store that is one. Every check
// calls newLinker for a linker of its own, which knows nothing of the others'.
func RunLinker(t *testing.T, newLinker func(t *testing.T) clickid.Linker, options Options) {
	checks := []check[linkerFixture]{
		{"a linked token is found", linkedTokenIsFound},
		{"an unknown key finds nothing", unknownKeyFindsNothing},
		{"no key and no token are invalid", nothingIsInvalid},
		{"the latest link of a key wins", latestLinkWins},
		{"several keys hold one token", severalKeysHoldOneToken},
		{"kinds of keys never meet", kindsNeverMeet},
		{"strange keys never meet", strangeKeysNeverMeet},
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
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, linkerFixture{Options: options, ctx: testContext(t), linker: newLinker(t)})
		})
	}
}

// check is one part of a contract.
type check[F fixture | linkerFixture] struct {
	name string
	run  func(*testing.T, F)
}

// fixture is what one check of a store works with.
type fixture struct {
	Options
	ctx      context.Context
	newStore func(*testing.T) clickid.Store
	store    clickid.Store
}

// linkerFixture is what one check of a linker works with.
type linkerFixture struct {
	Options
	ctx    context.Context
	linker clickid.Linker
}

// testContext bounds a check: a store that hangs fails instead of hanging on.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
