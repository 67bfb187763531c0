package clickid

// TransportError is a request that brought no answer: no connection, a cut
// one, or a timeout. It is temporary. Its text tells the cause without the
// underlying error's own words, which may hold anything; [errors.As] and
// [errors.Is] reach that.
type TransportError struct {
	cause string
	err   error
}

// Error names the cause.
func (e *TransportError) Error() string { return "clickid: no answer from the platform: " + e.cause }

// Unwrap returns the underlying error.
func (e *TransportError) Unwrap() error { return e.err }
