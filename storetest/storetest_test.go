package storetest_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid"
	"github.com/clickid/clickid/internal/suitetest"
	"github.com/clickid/clickid/storetest"
	"github.com/stretchr/testify/require"
)

// runSuite runs the suite on the model, with a clock of its own or in real time.
func runSuite(t *testing.T, f fault, ownClock bool) {
	options := storetest.Options{
		Dump: func(_ *testing.T, store any) []byte { return store.(*model).dump() },
	}
	options.Break = func(_ *testing.T, store any) func() { return store.(*model).suffer(broken) }
	options.Hang = func(_ *testing.T, store any) func() { return store.(*model).suffer(hanging) }
	if ownClock {
		options.Advance = func(_ *testing.T, store any, d time.Duration) { store.(*model).advance(d) }
	}
	storetest.Run(t, func(*testing.T) clickid.Store { return newModel(f) }, options)
}

func TestRun_correctStore(t *testing.T) {
	t.Run("its own clock", func(t *testing.T) { runSuite(t, correct, true) })
	t.Run("real time", func(t *testing.T) { runSuite(t, correct, false) })
}

// TestFaultyStore is run by TestRun_faultyStore in another process.
func TestFaultyStore(t *testing.T) {
	if f := suitetest.Fault(); f != "" {
		runSuite(t, fault(f), true)
	}
}

func TestRun_faultyStore(t *testing.T) {
	for _, row := range []struct {
		fault  fault
		checks []string // that must fail
	}{
		{loadsOnce, []string{"a saved click is found again"}},
		{mixesUpParam, []string{"a saved click is found again"}},
		{cutsIDs, []string{"a saved click is found again"}},
		{keepsFractions, []string{"times are whole seconds in UTC"}},
		{roundsUp, []string{"times are whole seconds in UTC"}},
		{keepsZone, []string{"times are whole seconds in UTC"}},
		{longTokens, []string{"tokens have their form"}},
		{escapedTokens, []string{"tokens have their form"}},
		{countedTokens, []string{"tokens cannot be guessed"}},
		{sameTokens, []string{"tokens cannot be guessed"}},
		{undatedTokens, []string{"tokens begin with their issue time"}},
		{trimsTokens, []string{"tokens cannot be guessed"}},
		{savesAnything, []string{"an unacceptable click is invalid"}},
		{savesExpired, []string{"an unacceptable click is invalid"}},
		{looksUpMalformed, []string{"a malformed token is invalid"}},
		{sharesClicks, []string{"a token of another store finds nothing"}},
		{keepsDeleted, []string{"delete forgets one click"}},
		{deletesAll, []string{"delete forgets one click"}},
		{deleteInsists, []string{"deleting an unknown click succeeds"}},
		{clicksStay, []string{"a click expires"}},
		{clicksLeaveEarly, []string{"a click expires"}},
		{ignoresContext, []string{"the end of the context ends a store call", "the end of the context ends a link call"}},
		{hidesOutage, []string{"a broken store tells so", "a broken linker tells so"}},
		{hidesHang, []string{"the context ends the calls of a store that hangs", "the context ends the calls of a linker that hangs"}},
		{hidesContext, []string{"the end of the context ends a store call"}},
		{tellsTokens, []string{"errors keep secrets"}},
		{checksNothing, []string{"a token is checked without the store"}},
		{plainTokens, []string{"a dump of the clicks holds no token"}},
		{plainLinks, []string{"a dump of the links holds no secret"}},
		{deleteKeepsLinks, []string{"deleting a click unlinks it"}},
		{unlinksLater, []string{"deleting a click leaves the later links", "unlinking a token leaves the later links", "links and unlinking at once"}},
		{refusesForeign, []string{"a linked token is found"}},
		{unlinkInsists, []string{"an unknown key finds nothing"}},
		{linksNothing, []string{"an empty key and an empty token are invalid"}},
		{firstLinkWins, []string{"the latest link of a key wins"}},
		{oneKeyPerToken, []string{"several keys hold one token"}},
		{movesWithGaps, []string{"a key that moves is never unlinked"}},
		{keysMeet, []string{"kinds of keys are distinct", "strange keys are distinct"}},
		{keepsLinks, []string{"unlink removes one link"}},
		{unlinkOpens, []string{"unlink takes a key that was read back"}},
		{unlinksOne, []string{"unlinking a token removes all its links", "many links at once"}},
		{linksStay, []string{"a link expires"}},
		{linksOfTokenExpire, []string{"a link expires"}},
		{linksExpired, []string{"an expired link is invalid"}},
		{losesWrites, []string{"many visitors at once", "many visitors link at once", "many links at once"}},
	} {
		t.Run(string(row.fault), func(t *testing.T) {
			require.Subset(t, failedChecks(t, row.fault), row.checks)
		})
	}
}

// failedChecks returns the checks that a store with the fault fails.
func failedChecks(t *testing.T, f fault) []string {
	t.Helper()
	var failed []string
	for _, match := range regexp.MustCompile(`--- FAIL: TestFaultyStore/(\S+)`).FindAllStringSubmatch(suitetest.Run(t, "TestFaultyStore", "", string(f)), -1) {
		failed = append(failed, strings.ReplaceAll(match[1], "_", " "))
	}
	return failed
}
