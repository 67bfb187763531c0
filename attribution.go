package clickid

// Touch decides which click counts when a visitor who has one lands with
// another: it reports whether landed replaces stored. It must be a pure
// function, is called concurrently, and never with two equal IDs.
type Touch func(stored, landed Click) (replace bool)

// LastTouch lets the latest click count. Clicks whose IDs carry their own time
// ([Click.Issued]) are ordered by it, so that a reloaded tab or a shared link
// does not bring an older click back, and such a click is not replaced by an ID
// of the same parameter without a time. Otherwise the one that lands is the
// latest.
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

// FirstTouch lets the first click count until it expires.
func FirstTouch(_, _ Click) bool { return false }
