package receiver

// WhyRule is whyRule for tests.
var WhyRule = whyRule

// CloseFile closes the file, as an error of the disk would.
func (r *Receiver) CloseFile() error { return r.store.close() }
