package capi

import "io"

// body is the body of a request. Its events stay in the memory in which they
// were encoded, so that a request takes no second copy of them.
type body struct {
	head, tail []byte // before and after the events
	events     []*outgoing
	size       int // in bytes
	// key is the place of the idempotency key in head, or nil. The key is derived
	// from the content, which begins at contentAt.
	key       []byte
	contentAt int
}

// reader reads the body from the beginning.
func (b *body) reader() *bodyReader { return &bodyReader{body: b, rest: b.head} }

// bodyReader reads the head, the events with commas between them, and the tail.
type bodyReader struct {
	body *body
	rest []byte // of the current part
	next int    // index of the next part: events and commas in turn
}

// Read implements [io.Reader].
func (r *bodyReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.rest) == 0 && !r.advance() {
			if n == 0 {
				return 0, io.EOF
			}
			break
		}
		copied := copy(p[n:], r.rest)
		n, r.rest = n+copied, r.rest[copied:]
	}
	return n, nil
}

var comma = []byte{','}

// advance goes to the next part. It returns false at the end.
func (r *bodyReader) advance() bool {
	last := 2*len(r.body.events) - 1
	switch {
	case r.next > last:
		return false
	case r.next == last:
		r.rest = r.body.tail
	case r.next%2 == 0:
		r.rest = r.body.events[r.next/2].data
	default:
		r.rest = comma
	}
	r.next++
	return true
}
