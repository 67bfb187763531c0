package clickid

import (
	"fmt"
	"strings"

	"github.com/clickid/clickid/internal/text"
)

// Address is a postal address of a user.
type Address struct {
	// Kind is the kind of the address, if it is known.
	Kind AddressKind `json:"kind,omitempty"`
	// HashedFirstName, HashedLastName, HashedStreet and HashedPostalCode are
	// results of [HashName]: 64 hexadecimal characters.
	HashedFirstName  string `json:"hashed_first_name,omitempty"`
	HashedLastName   string `json:"hashed_last_name,omitempty"`
	HashedStreet     string `json:"hashed_street,omitempty"`
	HashedPostalCode string `json:"hashed_postal_code,omitempty"`
	// City and State are not hashed, such as "new york" and "ny". They are sent
	// in lower case and without punctuation.
	City  string `json:"city,omitempty"`
	State string `json:"state,omitempty"`
	// Country is the code of two letters in ISO 3166-1, such as "us".
	Country string `json:"country,omitempty"`
	// Extra are further members, such as ext; see [Event].Extra.
	Extra map[string]any `json:"extra,omitempty"`
}

// AddressKind is the kind of an [Address].
type AddressKind string

// Kinds of addresses.
const (
	AddressBilling  AddressKind = "billing"
	AddressShipping AddressKind = "shipping"
)

const (
	maxAddresses  = 10
	maxPlaceChars = 128
)

// addresses cleans the addresses of the user.
func (c *cleaner) addresses() {
	u := &c.event.User
	given := u.Addresses
	u.Addresses = nil
	for i, a := range given {
		if i == maxAddresses {
			c.leaveOut(fmt.Sprintf("user.addresses[%d:]", i), fmt.Sprintf("exceeds %d addresses", maxAddresses))
			return
		}
		c.list, c.index = "user.addresses", i
		c.address(&a)
		c.list = ""
		u.Addresses = append(u.Addresses, a)
	}
}

// address brings an address into the form in which it is sent.
func (c *cleaner) address(a *Address) {
	if a.Kind != "" && a.Kind != AddressBilling && a.Kind != AddressShipping {
		c.leaveOut("kind", "must be billing or shipping")
		a.Kind = ""
	}
	a.HashedFirstName = c.hash("hashed_first_name", a.HashedFirstName, c.leaveOut)
	a.HashedLastName = c.hash("hashed_last_name", a.HashedLastName, c.leaveOut)
	a.HashedStreet = c.hash("hashed_street", a.HashedStreet, c.leaveOut)
	a.HashedPostalCode = c.hash("hashed_postal_code", a.HashedPostalCode, c.leaveOut)
	a.City = strings.ToLower(text.Plain(c.text("city", a.City, maxPlaceChars)))
	a.State = strings.ToLower(text.Plain(c.text("state", a.State, maxPlaceChars)))
	if country := strings.ToLower(a.Country); country != "" && (len(country) != 2 || strings.Trim(country, "abcdefghijklmnopqrstuvwxyz") != "") {
		c.leaveOut("country", "must be a code of two letters (ISO 3166-1)")
		a.Country = ""
	} else {
		a.Country = country
	}
	a.Extra = c.extra("extra", a.Extra)
}
