package clickid

// Touch decides whether a landing replaces the visitor's stored click: it
// returns true if landed replaces stored. It must be a pure function. It is
// called concurrently, and never with equal IDs.
type Touch func(stored, landed Click) (replace bool)

// LastTouch prefers the latest click. If both IDs contain their time of issue
// ([Click.Issued]), it compares these, so that a reloaded tab or a shared link
// does not restore an older click. An ID without a time does not replace one of
// the same parameter with a time. Otherwise the landing is the latest.
func LastTouch(stored, landed Click) bool {
	storedAt, ok := stored.Issued()
	if !ok {
		return true
	}
	landedAt, ok := landed.Issued()
	if !ok {
		return stored.Param != landed.Param
	}
	return !landedAt.Before(storedAt)
}

// FirstTouch keeps the first click until it expires.
func FirstTouch(_, _ Click) bool { return false }
