package clickid

// Dialect is an encoder of events for one endpoint of the platform: [ECAPI] or
// [LogEvent]. Changing it is one line of a client's configuration; the events
// stay as they are.
type Dialect interface {
	// problems returns what is wrong with the dialect's own fields.
	problems() []error
	// destination returns the data set or event source.
	destination() string
}
