package clickid

// ECAPI is the dialect of the first conversion API, after the IAB Tech Lab's
// Event and Conversion API 1.0: one event per request, identified by the data
// set and the event's ID, without its type.
type ECAPI struct {
	// DataSetID is the customer's data set, such as "ds_abc123xyz". Required.
	DataSetID string
	// Path is the endpoint's path. Defaults to "/agentic/v1/events".
	Path string
	// IAB adds the fields of the IAB standard that Scope3 does not document:
	// hashed e-mail and phone, IP address and user agent, GPP consent, further
	// identity providers, names and categories of items. Defaults to false.
	IAB bool
	// Currency chooses the member that names the currency. Defaults to
	// CurrencyField, which Scope3 documents.
	Currency CurrencyMember
}

// CurrencyMember chooses how [ECAPI] names the currency of a value.
type CurrencyMember int

const (
	// CurrencyField is "currency", as Scope3 documents it.
	CurrencyField CurrencyMember = iota
	// CurrencyCodeField is "currency_code", as the IAB standard names it.
	CurrencyCodeField
	// CurrencyBothFields sends both.
	CurrencyBothFields
)

func (d ECAPI) problems() []error   { return nil }
func (d ECAPI) destination() string { return d.DataSetID }
