package receiver

// WhyRule is whyRule for tests.
var WhyRule = whyRule

// Endpoints is the number of endpoints of the API.
const Endpoints = 12

// CloseFile closes the file, as an error of the disk would.
func (r *Receiver) CloseFile() error { return r.store.close() }
