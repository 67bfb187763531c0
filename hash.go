package clickid

// HashEmail trims, lower-cases and hashes an e-mail address with SHA-256, in
// lowercase hexadecimal, as both dialects accept it.
func HashEmail(raw string) (string, error) { return "", nil }

// HashPhone reduces a phone number to E.164 ("+" and digits) and hashes it.
func HashPhone(raw string) (string, error) { return "", nil }

// HashCustomerID trims, lower-cases and hashes a customer identifier, as the
// IAB standard defines it.
func HashCustomerID(raw string) (string, error) { return "", nil }
