package clickidtest

// OnMember makes r call asked with each member of a request that it looks for.
func (r *Receiver) OnMember(asked func(field string)) { r.asked = asked }
