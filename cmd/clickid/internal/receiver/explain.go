package receiver

import (
	"cmp"
	"net/http"
	"regexp"
	"strconv"

	"github.com/clickid/clickid/clickidtest"
)

// explanation explains a verdict or a rule that the request broke.
type explanation struct {
	// Field is the field that breaks a rule, and Message the rule.
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	// Why explains the rule and its fix.
	Why string `json:"why,omitempty"`
}

// explain explains the verdict of an entry.
func explain(k *kept) []explanation {
	list := []explanation{}
	for _, p := range k.Problems {
		list = append(list, explanation{p.Field, p.Message, whyRule(p)})
	}
	for _, warning := range k.Warnings {
		list = append(list, explanation{"", warning, whyRule(clickidtest.Problem{Message: warning})})
	}
	if k.Kind == kindRequest {
		for _, issue := range k.exchange.Request.Error.Issues {
			list = append(list, explanation{issue.Field, issue.Message, whyRule(issue)})
		}
	}
	if e := explainResponse(k); e.Message != "" {
		list = append(list, e)
	}
	if k.Verdict == string(clickidtest.OutcomeDuplicate) {
		list = append(list, explanation{"", "the event was counted before", duplicateReasons[k.Dialect]})
	}
	return list
}

var duplicateReasons = map[string]string{
	string(clickidtest.DialectECAPI): "ECAPI identifies an event by data_set_id and id, whatever its type. The platform merges a second one into the first. " +
		"Retries are supposed to end here; a refund or another order needs its own ID.",
	string(clickidtest.DialectLogEvent): "log_event identifies an event by event_source_id, event_type and event_id. The platform counts it once. " +
		"Retries and repeated webhooks are supposed to end here; another order needs its own ID.",
}

// explainResponse explains a response that is about the whole request.
func explainResponse(k *kept) explanation {
	x := k.exchange
	switch {
	case x.Request.Scripted:
		kind, _ := findFaultKind(x.Request.Fault) // or one that the program has set
		return explanation{"", "a fault was injected", cmp.Or(kind.why, "This response was made on purpose.")}
	case x.Response.Status == 0:
		return explanation{"", "the connection was closed without a response", "The client closed it, or the body was larger than 4 MiB. Send fewer events in one request."}
	case x.Request.Replayed:
		return explanation{"", "the response of an earlier request was repeated", "The request has the idempotency key and the body of an earlier one, so the platform sends the same response again."}
	case k.Kind == kindEvent && k.Verdict == string(clickidtest.OutcomeNotProcessed) && x.Request.Error.Code == "VALIDATION_ERROR":
		return explanation{"", "another event of the request was refused", "The platform refuses the whole request when one of its events is invalid. Fix or remove that one and send the others again."}
	}
	code := x.Request.Error.Code
	if why, ok := codeReasons[code]; ok {
		return explanation{"", code + ", status " + strconv.Itoa(x.Response.Status), why}
	}
	if k.Kind == kindRequest && x.Response.Status >= http.StatusMultipleChoices && code != "" && len(x.Request.Error.Issues) == 0 {
		return explanation{"", code + ", status " + strconv.Itoa(x.Response.Status), x.Request.Error.Message}
	}
	return explanation{}
}

// codeReasons explain the errors of whole requests.
var codeReasons = map[string]string{
	"UNAUTHORIZED":           "The header must be \"Authorization: Bearer\" with an API key that begins with scope3_. Check CLICKID_API_KEY for spaces, quotes and line breaks.",
	"ACCESS_DENIED":          "The API key is valid, but it may not use this data set or advertiser. Check DataSetID or AdvertiserID.",
	"NOT_FOUND":              "The platform has no such path. Events go to /agentic/v1/events (ECAPI), /agentic/v1/capi or /api/v2/buyer/advertisers/ID/log-event (log_event). Check the path in BaseURL.",
	"METHOD_NOT_ALLOWED":     "Events are sent with POST. Check for a redirect, which turns POST into GET.",
	"UNSUPPORTED_MEDIA_TYPE": "Content-Type must be application/json, in UTF-8.",
	"BAD_REQUEST":            "The body is not valid JSON in UTF-8. Look for a body that was cut, encoded twice, or has something after its end.",
	"REFERENCE_NOT_FOUND":    "The platform refuses events of a source that is not registered. Register it with the management API, or check EventSourceID.",
	"RATE_LIMITED":           "Too many requests. Wait for Retry-After, and send several events in a request.",
	"IDEMPOTENCY_CONFLICT":   "The idempotency key belongs to an earlier request with another body. A retry repeats key and body; everything else needs a new key.",
	"IDEMPOTENCY_EXPIRED":    "The idempotency key is older than the platform remembers. Send the events again with a new key; their IDs prevent that they are counted twice.",
}

// ruleReasons explain the rules by their message. The first match applies.
var ruleReasons = []struct {
	message *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`^is required$`), "The contract requires this member. An event without it cannot be counted."},
	{regexp.MustCompile(`^is required with the type custom$`), "A custom event is only known by this name."},
	{regexp.MustCompile(`^is required with a value$`), "A number without a currency is not an amount."},
	{regexp.MustCompile(`^is only for the type custom$`), "Other types have their own name. Remove the member, or use the type custom."},
	{regexp.MustCompile(`is not a (member|parameter) of the contract$`), "The contract does not know this name. Look for a typing error, and for a member of the other dialect."},
	{regexp.MustCompile(`^must be an? (object|array|string)$|^must be (true or false|one event)|^the body must be`), "The JSON type is another one than the contract has."},
	{regexp.MustCompile(`^must not be empty$`), "Leave out a member without a value."},
	{regexp.MustCompile(`^must not be longer than`), "The contract limits the length, in characters."},
	{regexp.MustCompile(`^must be a number`), "Write the number without quotes, with a full stop as the decimal separator."},
	{regexp.MustCompile(`^must be an integer`), "Write it without fraction and exponent."},
	{regexp.MustCompile(`^must be (at least|from) `), "The number is outside of the range of the contract."},
	{regexp.MustCompile(`^must be one of`), "The contract has a fixed list for this member, and the two dialects have different ones."},
	{regexp.MustCompile(`^must match \^\[0-9a-f\]\{64\}\$`), "A hash is SHA-256 in 64 lower-case hexadecimal digits, of the normalised value. Raw values are refused."},
	{regexp.MustCompile(`^must match`), "The text has another form than the contract has."},
	{regexp.MustCompile(`^must be an IP address$`), "One IPv4 or IPv6 address, without port and zone. X-Forwarded-For may hold a list."},
	{regexp.MustCompile(`^must be an absolute http or https URL`), "The URL needs scheme and host, and every other character percent-encoded."},
	{regexp.MustCompile(`^must be an RFC 3339 time`), "The time needs a date, a time with seconds, and Z or an offset."},
	{regexp.MustCompile(`^is in the future$`), "The time of the event is more than a day ahead. Check the clock, the time zone and the unit."},
	{regexp.MustCompile(`^must be in seconds`), "ECAPI counts Unix seconds. The number looks like milliseconds: divide it by 1000."},
	{regexp.MustCompile(`^must be an ISO 4217 currency code`), "Three capital letters, such as USD or EUR."},
	{regexp.MustCompile(`^is the name in the IAB standard`), "Scope3 calls the member currency. Start the receiver with -iab to accept the whole IAB standard."},
	{regexp.MustCompile(`^must be the same as currency$`), "The event has two currencies that differ."},
	{regexp.MustCompile(`^must be \d+ for `), "The identity provider has one kind of ID: 3 is a user, 1 is a device."},
	{regexp.MustCompile(`^must be 1 to \d+ `), "Divide a longer list into several requests. An empty one is not allowed."},
	{regexp.MustCompile(`^must have progress_percent`), "A milestone is a part of something that was watched."},
	{regexp.MustCompile(`^must come with click_id_type$`), "The platform needs both to tell whose click it is, such as clkid."},
	{regexp.MustCompile(`^must have at least one of uids`), "Without any of these, the platform has nothing to attribute the event by. Leave user_match out if the user is unknown."},
	{regexp.MustCompile(`raw e-mail address$`), "The platform refuses personal data. Send a SHA-256 hash or a token of an identity provider, and keep addresses out of IDs, URLs and names."},
	{regexp.MustCompile(`raw phone number$`), "The platform refuses personal data. Send the SHA-256 hash of the number in the form of E.164."},
	{regexp.MustCompile(`raw postal address$`), "The platform refuses personal data. Leave the address out."},
	{regexp.MustCompile(`^has a value without a currency$`), "The platform accepts the event, but the value is not an amount."},
	{regexp.MustCompile(`without an event_source_url$`), "The platform accepts the event, but expects the URL of the page."},
	{regexp.MustCompile(`^is refused by a fault$|^is refused by EventRefusal`), "The event was refused on purpose, by a fault. It is not invalid."},
	{regexp.MustCompile(`^must be the advertiser of the path$`), "The body and the path name two advertisers."},
	{regexp.MustCompile(`^is that of an earlier event source$`), "Each event source may be in the list once."},
	{regexp.MustCompile(`^the query is malformed$|^must have one value$|^a GET request must not have a body$`), "The request has another form than the management API has."},
	{regexp.MustCompile(`^must come with endHour$|^must be before endHour$|^must be a full hour`), "A period has a start and an end, both full hours in UTC."},
}

// whyRule explains a broken rule.
func whyRule(p clickidtest.Problem) string {
	for _, r := range ruleReasons {
		if r.message.MatchString(p.Message) {
			return r.why
		}
	}
	return ""
}
