package upload

import (
	"hash/maphash"

	"github.com/clickid/clickid"
)

// maxIdentities limits the memory for identities to some 100 MB.
const maxIdentities = 2_000_000

// identities recognises rows that the platform takes for one event. It keeps
// hashes of the first maxIdentities rows.
type identities struct {
	seed maphash.Seed
	seen map[uint64]struct{}
}

func newIdentities() *identities {
	return &identities{seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}
}

// repeats reports whether an earlier event had the type and the ID of e. A nil i
// knows none.
func (i *identities) repeats(e clickid.Event) bool {
	if i == nil {
		return false
	}
	hash := maphash.String(i.seed, string(e.Type)+"\x00"+e.ID)
	if _, ok := i.seen[hash]; ok {
		return true
	}
	if len(i.seen) < maxIdentities {
		i.seen[hash] = struct{}{}
	}
	return false
}
