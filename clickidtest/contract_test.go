package clickidtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/clickid/clickid/clickidtest"
	"github.com/stretchr/testify/require"
)

// serve hands a request to the receiver without a network.
func serve(r *clickidtest.Receiver, req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// patched returns base with a JSON merge patch (RFC 7396) applied: null
// removes a member.
func patched(t testing.TB, base, patch string) string {
	t.Helper()
	var b, p any
	require.NoError(t, json.Unmarshal([]byte(base), &b), base)
	decoder := json.NewDecoder(strings.NewReader(patch))
	decoder.UseNumber() // so that 1.0 stays 1.0
	require.NoError(t, decoder.Decode(&p), patch)
	merged, err := json.Marshal(merge(b, p))
	require.NoError(t, err)
	return string(merged)
}

func merge(base, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := base.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = merge(object[name], value)
		}
	}
	return object
}

func x(n int) string { return strings.Repeat("x", n) }

// row is one rule of the contract.
type row struct {
	rule    string
	patch   string // what it changes in a valid event or request
	refused string // the field that is refused, or "" when it is accepted
}

// refusal reads an error of any of the endpoints.
type refusal struct {
	Error   any                   `json:"error"`
	Details []clickidtest.Problem `json:"details"`
	Errors  []clickidtest.Error   `json:"errors"`
}

func fields(t testing.TB, body string) []string {
	t.Helper()
	var r refusal
	require.NoError(t, json.Unmarshal([]byte(body), &r))
	problems := r.Details
	if len(r.Errors) > 0 {
		problems = r.Errors[0].Issues
	}
	names := make([]string, len(problems))
	for i, p := range problems {
		names[i] = p.Field
	}
	return names
}

// check runs the rows against a receiver. Each refused row must be refused for
// its own reason and no other.
func check(t *testing.T, cfg clickidtest.Config, path string, rows []row, body func(patch string) string) {
	for _, tt := range rows {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			r := clickidtest.New(cfg)
			w := serve(r, request(t, "", path, body(tt.patch)))
			if tt.refused == "" {
				require.Equal(t, 200, w.Code, w.Body)
				require.Equal(t, 1, r.Count())
				return
			}
			require.Equal(t, 400, w.Code, w.Body)
			require.Equal(t, []string{tt.refused}, fields(t, w.Body.String()))
			require.Zero(t, r.Count())
		})
	}
}

const validECAPI = `{
	"data_set_id": "ds_test", "event_type": "purchase", "timestamp": 1732356930, "id": "order-1", "source": "website",
	"value": 149.90, "currency": "USD",
	"user_data": {"click_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "external_id": "c-1", "uids": [
		{"id": "XY1000", "source": "liveramp.com", "atype": 3}, {"id": "ID5*abc", "source": "id5-sync.com", "atype": 1}
	]},
	"properties": {"items": [{"id": "sku-1"}], "anything": {"goes": [1, true, null]}}
}`

func TestReceiver_ecapi(t *testing.T) {
	t.Parallel()
	check(t, clickidtest.Config{}, eventsPath, []row{
		{"the full event", `{}`, ""},
		{"the three required members are enough", `{"id":null,"source":null,"value":null,"currency":null,"user_data":null,"properties":null}`, ""},

		{"data_set_id is required", `{"data_set_id":null}`, "/data_set_id"},
		{"data_set_id is not empty", `{"data_set_id":""}`, "/data_set_id"},
		{"data_set_id is a string", `{"data_set_id":7}`, "/data_set_id"},

		{"event_type is required", `{"event_type":null}`, "/event_type"},
		{"event_type is a string", `{"event_type":["purchase"]}`, "/event_type"},
		{"event_type add_to_cart", `{"event_type":"add_to_cart"}`, ""},
		{"event_type begin_checkout", `{"event_type":"begin_checkout"}`, ""},
		{"event_type add_payment_info", `{"event_type":"add_payment_info"}`, ""},
		{"event_type lead", `{"event_type":"lead"}`, ""},
		{"event_type sign_up", `{"event_type":"sign_up"}`, ""},
		{"event_type complete_registration", `{"event_type":"complete_registration"}`, ""},
		{"event_type subscribe", `{"event_type":"subscribe"}`, ""},
		{"event_type page_view", `{"event_type":"page_view"}`, ""},
		{"event_type view_content", `{"event_type":"view_content"}`, ""},
		{"event_type is not one of log_event's", `{"event_type":"initiate_checkout"}`, "/event_type"},
		{"event_type is not one of the IAB standard's", `{"event_type":"refund"}`, "/event_type"},
		{"event_type is in lower case", `{"event_type":"Purchase"}`, "/event_type"},

		{"timestamp is required", `{"timestamp":null}`, "/timestamp"},
		{"timestamp is in seconds", `{"timestamp":1732356930123}`, "/timestamp"},
		{"timestamp is not a float", `{"timestamp":1732356930.5}`, "/timestamp"},
		{"timestamp is not an integral float", `{"timestamp":1732356930.0}`, "/timestamp"},
		{"timestamp has no exponent", `{"timestamp":1.7e9}`, "/timestamp"},
		{"timestamp is not a string", `{"timestamp":"1732356930"}`, "/timestamp"},
		{"timestamp is not an RFC 3339 time", `{"timestamp":"2024-11-23T10:15:30Z"}`, "/timestamp"},
		{"timestamp is not negative", `{"timestamp":-1}`, "/timestamp"},
		{"timestamp is not in the future", `{"timestamp":99999999999}`, "/timestamp"},

		{"id is optional", `{"id":null}`, ""},
		{"id is a string", `{"id":1001}`, "/id"},
		{"id is not empty", `{"id":""}`, "/id"},
		{"id is not an e-mail address", `{"id":"jane@example.com"}`, "/id"},

		{"source app", `{"source":"app"}`, ""},
		{"source pos", `{"source":"pos"}`, ""},
		{"source is a string", `{"source":1}`, "/source"},

		{"value is optional", `{"value":null}`, ""},
		{"value 0", `{"value":0}`, ""},
		{"value is not a string", `{"value":"149.90"}`, "/value"},
		{"value is not a boolean", `{"value":true}`, "/value"},
		{"value can be represented", `{"value":1e999}`, "/value"},

		{"currency JPY", `{"currency":"JPY"}`, ""},
		{"currency is a code of ISO 4217", `{"currency":"XYZ"}`, "/currency"},
		{"currency is in capitals", `{"currency":"usd"}`, "/currency"},
		{"currency is not a symbol", `{"currency":"$"}`, "/currency"},
		{"currency is not a list of codes", `{"currency":"USD USN"}`, "/currency"},
		{"currency is a string", `{"currency":840}`, "/currency"},
		{"currency_code beside currency", `{"currency_code":"USD"}`, ""},
		{"currency_code does not contradict currency", `{"currency_code":"EUR"}`, "/currency_code"},
		{"currency_code does not replace currency", `{"currency":null,"currency_code":"USD"}`, "/currency_code"},

		{"user_data is an object", `{"user_data":"x"}`, "/user_data"},
		{"user_data can be empty", `{"user_data":{"click_id":null,"external_id":null,"uids":null}}`, ""},
		{"click_id is any text", `{"user_data":{"click_id":"anything~1"}}`, ""},
		{"click_id is a string", `{"user_data":{"click_id":1}}`, "/user_data/click_id"},
		{"click_id is not empty", `{"user_data":{"click_id":""}}`, "/user_data/click_id"},
		{"external_id is a string", `{"user_data":{"external_id":42}}`, "/user_data/external_id"},
		{"external_id can be a long number", `{"user_data":{"external_id":"491701234567"}}`, ""},
		{"external_id is not an e-mail address", `{"user_data":{"external_id":"Jane.Doe@Example.COM"}}`, "/user_data/external_id"},
		{"external_id is not a phone number", `{"user_data":{"external_id":"+1 212-555-0000"}}`, "/user_data/external_id"},
		{"user_data has no other member", `{"user_data":{"email":"x"}}`, "/user_data/email"},
		{"user_data has no hashed e-mail outside the IAB standard", `{"user_data":{"email_address":[]}}`, "/user_data/email_address"},
		{"uids is an array", `{"user_data":{"uids":{}}}`, "/user_data/uids"},
		{"uids holds objects", `{"user_data":{"uids":["XY1000"]}}`, "/user_data/uids/0"},
		{"a uid has an id", `{"user_data":{"uids":[{"source":"liveramp.com","atype":3}]}}`, "/user_data/uids/0/id"},
		{"a uid has a source", `{"user_data":{"uids":[{"id":"XY1000","atype":3}]}}`, "/user_data/uids/0/source"},
		{"a uid has an atype", `{"user_data":{"uids":[{"id":"XY1000","source":"liveramp.com"}]}}`, "/user_data/uids/0/atype"},
		{"a uid's id is a string", `{"user_data":{"uids":[{"id":1,"source":"liveramp.com","atype":3}]}}`, "/user_data/uids/0/id"},
		{"a uid's id is not an e-mail address", `{"user_data":{"uids":[{"id":"jane@example.com","source":"liveramp.com","atype":3}]}}`, "/user_data/uids/0/id"},
		{"a uid's source is in the table", `{"user_data":{"uids":[{"id":"x","source":"uidapi.com","atype":3}]}}`, "/user_data/uids/0/source"},
		{"a uid's atype is an integer", `{"user_data":{"uids":[{"id":"x","source":"liveramp.com","atype":"3"}]}}`, "/user_data/uids/0/atype"},
		{"a RampID has atype 3", `{"user_data":{"uids":[{"id":"x","source":"liveramp.com","atype":1}]}}`, "/user_data/uids/0/atype"},
		{"an ID5 ID is a device", `{"user_data":{"uids":[{"id":"x","source":"id5-sync.com","atype":3}]}}`, "/user_data/uids/0/atype"},
		{"a uid has no other member", `{"user_data":{"uids":[{"id":"x","source":"liveramp.com","atype":3,"ext":{}}]}}`, "/user_data/uids/0/ext"},

		{"properties is an object", `{"properties":[]}`, "/properties"},
		{"properties holds anything", `{"properties":{"items":"x","coupon":1}}`, ""},
		{"properties holds no e-mail address", `{"properties":{"note":["for Jane <jane@example.co.uk>"]}}`, "/properties/note/0"},
		{"properties holds no encoded e-mail address", `{"properties":{"page_url":"https://shop.test/?e=jane%40example.com"}}`, "/properties/page_url"},
		{"properties holds an image's name", `{"properties":{"image":"logo@2x.png"}}`, ""},
		{"properties holds no phone number", `{"properties":{"a":{"b":"call (212) 555-0000"},"c":"+49 30 901820"}}`, "/properties/c"},
		{"properties holds no national phone number", `{"properties":{"contact":"(212) 555-0000"}}`, "/properties/contact"},
		{"properties holds no number of a phone", `{"properties":{"phone":4930901820}}`, "/properties/phone"},
		{"properties holds order numbers", `{"properties":{"order":"2024-11-230001","ean":"4006381333931"}}`, ""},
		{"properties holds no postal address", `{"properties":{"shipping_address":{"city":"Bonn"}}}`, "/properties/shipping_address"},

		{"no other member", `{"email":"none"}`, "/email"},
		{"no IAB member", `{"custom_event":"x"}`, "/custom_event"},
		{"members in their exact case", `{"ID":"x"}`, "/ID"},
	}, func(patch string) string { return patched(t, validECAPI, patch) })
}

func TestReceiver_ecapiIAB(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("0af9", 16)
	check(t, clickidtest.Config{IAB: true}, eventsPath, []row{
		{"the full event of Scope3", `{}`, ""},
		{"event_type refund", `{"event_type":"refund"}`, ""},
		{"event_type of the open list", `{"event_type":"some_other_type"}`, ""},
		{"event_type has the form of a name", `{"event_type":"Some Type"}`, "/event_type"},
		{"type custom with custom_event", `{"event_type":"custom","custom_event":"quiz"}`, ""},
		{"type custom without custom_event", `{"event_type":"custom"}`, "/custom_event"},
		{"custom_event with another type is ignored", `{"custom_event":"quiz"}`, ""},
		{"value needs a currency", `{"currency":null}`, "/currency_code"},
		{"currency_code instead of currency", `{"currency":null,"currency_code":"USD"}`, ""},
		{"currency_code is a code of ISO 4217", `{"currency":null,"currency_code":"US"}`, "/currency_code"},
		{"currency_code does not contradict currency", `{"currency_code":"EUR"}`, "/currency_code"},
		{"source physical_store", `{"source":"physical_store"}`, ""},
		{"source of no list", `{"source":"moon"}`, "/source"},
		{"mmt_only", `{"user_data":{"mmt_only":true}}`, ""},
		{"mmt_only is a boolean", `{"user_data":{"mmt_only":"yes"}}`, "/user_data/mmt_only"},
		{"ext everywhere", `{"ext":{"a":1},"user_data":{"ext":{},"uids":[{"id":"x","source":"uidapi.com","atype":3,"ext":{}}]}}`, ""},
		{"ext is an object", `{"ext":[]}`, "/ext"},
		{"consent", `{"user_data":{"gpp_string":"DBAA","gpp_sid":[7,8]}}`, ""},
		{"gpp_sid holds integers", `{"user_data":{"gpp_sid":[7,"8"]}}`, "/user_data/gpp_sid/1"},
		{"hashes", `{"user_data":{"email_address":["` + hash + `"],"phone_numbers":["` + hash + `"],"customer_identifier":"` + hash + `"}}`, ""},
		{"email_address is hashed", `{"user_data":{"email_address":["jane"]}}`, "/user_data/email_address/0"},
		{"phone_numbers are hashed in lower case", `{"user_data":{"phone_numbers":["` + strings.ToUpper(hash) + `"]}}`, "/user_data/phone_numbers/0"},
		{"customer_identifier is hashed", `{"user_data":{"customer_identifier":"user123"}}`, "/user_data/customer_identifier"},
		{"addresses and agents", `{"user_data":{"event_ip_address":"203.0.113.7","landing_ip_address":"2001:db8::1","event_user_agent":"Bot (+http://x.test; bot@example.com)","landing_user_agent":"Mozilla/5.0","impression_id":"i-1"}}`, ""},
		{"event_ip_address is one", `{"user_data":{"event_ip_address":"localhost"}}`, "/user_data/event_ip_address"},
		{"any provider", `{"user_data":{"uids":[{"id":"x","source":"uidapi.com","atype":3}]}}`, ""},
		{"atype of a vendor's own", `{"user_data":{"uids":[{"id":"x","source":"uidapi.com","atype":501}]}}`, ""},
		{"atype of a documented provider", `{"user_data":{"uids":[{"id":"x","source":"liveramp.com","atype":1}]}}`, "/user_data/uids/0/atype"},
		{"ifa", `{"user_data":{"ifa":"38400000-8cf0-11bd-b23e-10b96e40000d"}}`, ""},
		{"demographics", `{"user_data":{"gender":"` + hash + `","age_range":13,"customer_segments":["gold"],"utcoffset":-300}}`, ""},
		{"gender is hashed", `{"user_data":{"gender":"female"}}`, "/user_data/gender"},
		{"age_range is in the list", `{"user_data":{"age_range":14}}`, "/user_data/age_range"},
		{"a hashed address", `{"user_data":{"address":[{"first_name":"` + hash + `","street":"` + hash + `","city":"bonn","country_code":"de","address_type":2}]}}`, ""},
		{"an address is hashed", `{"user_data":{"address":[{"street":"1 Main St"}]}}`, "/user_data/address/0/street"},
		{"user_data has no other member", `{"user_data":{"name":"Jane"}}`, "/user_data/name"},
		{"properties of the standard", `{"properties":{"transaction_id":"t","page_url":"https://shop.test/","referrer":"https://x.test/","coupon":["A"],"payment_type":["card"],"shipping":4.9,"tax":0}}`, ""},
		{"coupon is a list", `{"properties":{"coupon":"A"}}`, "/properties/coupon"},
		{"tax is a number", `{"properties":{"tax":"1"}}`, "/properties/tax"},
		{"page_url is one", `{"properties":{"page_url":"/thanks"}}`, "/properties/page_url"},
		{"items in full", `{"properties":{"items":[{"id":"s","name":"n","price":1,"discount":0.5,"quantity":2,"brand":"b","category":"c","ext":{}}]}}`, ""},
		{"an item's quantity is not negative", `{"properties":{"items":[{"id":"s","quantity":-1}]}}`, "/properties/items/0/quantity"},
		{"an item's price is a number", `{"properties":{"items":[{"id":"s","price":"1"}]}}`, "/properties/items/0/price"},
		{"an item has no other member", `{"properties":{"items":[{"sku":"s"}]}}`, "/properties/items/0/sku"},
		{"other properties", `{"properties":{"first_order":true}}`, ""},
	}, func(patch string) string { return patched(t, validECAPI, patch) })
}

const validEvent = `{
	"event_id": "order-1", "event_type": "purchase", "event_time": "2024-11-23T10:15:30Z", "action_source": "website",
	"event_source_url": "https://shop.test/thanks",
	"user_match": {
		"click_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "click_id_type": "clkid",
		"uids": [{"type": "rampid", "value": "XY1000"}, {"type": "other", "value": "c-1"}],
		"hashed_email": "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
		"hashed_phone": "7c8d08bf90ca322bcac37f99ba14e980e4b1f5ba919f7e16a030af9070ba125e",
		"client_ip": "203.0.113.7", "client_user_agent": "Mozilla/5.0"
	},
	"custom_data": {
		"value": 149.90, "currency": "USD", "order_id": "1001", "content_ids": ["sku-1"], "content_type": "product",
		"content_name": "Boots", "content_category": "Shoes", "num_items": 2, "search_string": "boots",
		"progress_percent": 50, "progress_seconds": 1.5,
		"contents": [{"id": "sku-1", "quantity": 2, "price": 49.95, "brand": "Acme"}], "ext": {}, "further": {"members": "allowed"}
	},
	"ext": {}
}`

const idempotencyKey = "0123456789abcdef"

// logEvent returns a request of the given events.
func logEvent(events ...string) string {
	return `{"event_source_id":"shop","idempotency_key":"` + idempotencyKey + `","events":[` + strings.Join(events, ",") + `]}`
}

func TestReceiver_logEvent(t *testing.T) {
	t.Parallel()
	rows := []row{
		{"the full event", `{}`, ""},
		{"the three required members are enough", `{"action_source":null,"event_source_url":null,"user_match":null,"custom_data":null,"ext":null}`, ""},

		{"event_id is required", `{"event_id":null}`, "/event_id"},
		{"event_id is a string", `{"event_id":1}`, "/event_id"},
		{"event_id has at least 1 character", `{"event_id":""}`, "/event_id"},
		{"event_id of 256 characters", `{"event_id":"` + strings.Repeat("ä", 256) + `"}`, ""},
		{"event_id of 257 characters", `{"event_id":"` + x(257) + `"}`, "/event_id"},
		{"event_id is not an e-mail address", `{"event_id":"jane@example.com"}`, "/event_id"},
		{"event_id is not an e-mail address in another script", `{"event_id":"анна@пример.рф"}`, "/event_id"},
		{"event_id is not an encoded e-mail address", `{"event_id":"jane%40example%2Ecom"}`, "/event_id"},
		{"event_id has an internal host", `{"event_id":"17@store.local"}`, ""},
		{"event_id has a domain under no public suffix", `{"event_id":"17@shop.unlisted"}`, ""},

		{"event_type is required", `{"event_type":null}`, "/event_type"},
		{"event_type is not one of ECAPI's", `{"event_type":"begin_checkout"}`, "/event_type"},
		{"event_type is in lower case", `{"event_type":"PURCHASE"}`, "/event_type"},

		{"event_time is required", `{"event_time":null}`, "/event_time"},
		{"event_time is not a number", `{"event_time":1732356930}`, "/event_time"},
		{"event_time with an offset", `{"event_time":"2024-11-23T10:15:30.123+02:00"}`, ""},
		{"event_time in lower case", `{"event_time":"2024-11-23t10:15:30z"}`, ""},
		{"event_time has a zone", `{"event_time":"2024-11-23T10:15:30"}`, "/event_time"},
		{"event_time has a T", `{"event_time":"2024-11-23 10:15:30Z"}`, "/event_time"},
		{"event_time has two digits for hours", `{"event_time":"2024-11-23T1:15:30Z"}`, "/event_time"},
		{"event_time has no comma", `{"event_time":"2024-11-23T10:15:30,5Z"}`, "/event_time"},
		{"event_time is on the calendar", `{"event_time":"2024-02-30T10:15:30Z"}`, "/event_time"},
		{"event_time is more than a date", `{"event_time":"2024-11-23"}`, "/event_time"},
		{"event_time is not in the future", `{"event_time":"2999-01-01T00:00:00Z"}`, "/event_time"},

		{"action_source of no list", `{"action_source":"pos"}`, "/action_source"},
		{"event_source_url is optional", `{"event_source_url":null}`, ""},
		{"event_source_url is absolute", `{"event_source_url":"/thanks"}`, "/event_source_url"},
		{"event_source_url is of the web", `{"event_source_url":"ftp://shop.test/"}`, "/event_source_url"},

		{"type custom with its name", `{"event_type":"custom","custom_event_name":"quiz"}`, ""},
		{"type custom without a name", `{"event_type":"custom"}`, "/custom_event_name"},
		{"custom_event_name with another type", `{"custom_event_name":"quiz"}`, "/custom_event_name"},
		{"custom_event_name of 256 characters", `{"event_type":"custom","custom_event_name":"` + x(256) + `"}`, ""},
		{"custom_event_name of 257 characters", `{"event_type":"custom","custom_event_name":"` + x(257) + `"}`, "/custom_event_name"},
		{"watch_milestone with a percentage", `{"event_type":"watch_milestone","custom_data":{"progress_seconds":null}}`, ""},
		{"watch_milestone with seconds", `{"event_type":"watch_milestone","custom_data":{"progress_percent":null}}`, ""},
		{"watch_milestone without progress", `{"event_type":"watch_milestone","custom_data":{"progress_percent":null,"progress_seconds":null}}`, "/custom_data"},
		{"watch_milestone without custom_data", `{"event_type":"watch_milestone","custom_data":null}`, "/custom_data"},

		{"user_match is an object", `{"user_match":[]}`, "/user_match"},
		{"user_match by click", `{"user_match":{"uids":null,"hashed_email":null,"hashed_phone":null,"client_ip":null,"client_user_agent":null}}`, ""},
		{"user_match by uid", `{"user_match":{"click_id":null,"click_id_type":null,"hashed_email":null,"hashed_phone":null,"client_ip":null,"client_user_agent":null}}`, ""},
		{"user_match by e-mail", `{"user_match":{"click_id":null,"click_id_type":null,"uids":null,"hashed_phone":null,"client_ip":null,"client_user_agent":null}}`, ""},
		{"user_match by phone", `{"user_match":{"click_id":null,"click_id_type":null,"uids":null,"hashed_email":null,"client_ip":null,"client_user_agent":null}}`, ""},
		{"user_match by device", `{"user_match":{"click_id":null,"click_id_type":null,"uids":null,"hashed_email":null,"hashed_phone":null}}`, ""},
		{"user_match with only an IP address", `{"user_match":{"click_id":null,"click_id_type":null,"uids":null,"hashed_email":null,"hashed_phone":null,"client_user_agent":null}}`, "/user_match"},
		{"user_match by nothing", `{"user_match":{"click_id":null,"click_id_type":null,"uids":null,"hashed_email":null,"hashed_phone":null,"client_ip":null,"client_user_agent":null}}`, "/user_match"},
		{"user_match by an empty list", `{"user_match":{"click_id":null,"click_id_type":null,"uids":[],"hashed_email":null,"hashed_phone":null,"client_ip":null,"client_user_agent":null}}`, "/user_match"},
		{"user_match has no other member", `{"user_match":{"email":"none"}}`, "/user_match/email"},
		{"click_id with its type", `{"user_match":{"click_id_type":null}}`, "/user_match/click_id"},
		{"click_id_type with its click", `{"user_match":{"click_id":null}}`, "/user_match/click_id"},
		{"click_id of 512 characters", `{"user_match":{"click_id":"` + x(512) + `"}}`, ""},
		{"click_id of 513 characters", `{"user_match":{"click_id":"` + x(513) + `"}}`, "/user_match/click_id"},
		{"click_id_type sc3clid", `{"user_match":{"click_id_type":"sc3clid"}}`, ""},
		{"click_id_type of 64 characters", `{"user_match":{"click_id_type":"` + x(64) + `"}}`, ""},
		{"click_id_type of 65 characters", `{"user_match":{"click_id_type":"` + x(65) + `"}}`, "/user_match/click_id_type"},
		{"uids is an array", `{"user_match":{"uids":"x"}}`, "/user_match/uids"},
		{"a uid has a type", `{"user_match":{"uids":[{"value":"x"}]}}`, "/user_match/uids/0/type"},
		{"a uid has a value", `{"user_match":{"uids":[{"type":"id5"}]}}`, "/user_match/uids/0/value"},
		{"a uid's type is in the list", `{"user_match":{"uids":[{"type":"liveramp.com","value":"x"}]}}`, "/user_match/uids/0/type"},
		{"a uid's value of 512 characters", `{"user_match":{"uids":[{"type":"id5","value":"` + x(512) + `"}]}}`, ""},
		{"a uid's value of 513 characters", `{"user_match":{"uids":[{"type":"id5","value":"` + x(513) + `"}]}}`, "/user_match/uids/0/value"},
		{"a uid's value is not an e-mail address", `{"user_match":{"uids":[{"type":"other","value":"jane@example.com"}]}}`, "/user_match/uids/0/value"},
		{"a uid that is a hashed e-mail", `{"user_match":{"uids":[{"type":"hashed_email","value":"` + strings.Repeat("0", 64) + `"}]}}`, ""},
		{"a uid that should be a hashed e-mail", `{"user_match":{"uids":[{"type":"hashed_email","value":"abc"}]}}`, "/user_match/uids/0/value"},
		{"a uid has no other member", `{"user_match":{"uids":[{"type":"id5","value":"x","atype":1}]}}`, "/user_match/uids/0/atype"},
		{"a uid with ext", `{"user_match":{"uids":[{"type":"id5","value":"x","ext":{}}]}}`, ""},
		{"ext of user_match", `{"user_match":{"ext":[]}}`, "/user_match/ext"},
		{"a surface", `{"surface":{"category":"owned_property","property_type":"channel","namespace":"video","property_id":"7","ext":{},"other":1}}`, ""},
		{"a surface without category", `{"surface":{}}`, "/surface/category"},
		{"an unknown surface", `{"surface":{"category":"kiosk"}}`, "/surface/category"},
		{"hashed_email has 64 characters", `{"user_match":{"hashed_email":"abc"}}`, "/user_match/hashed_email"},
		{"hashed_email is in lower case", `{"user_match":{"hashed_email":"` + strings.Repeat("A", 64) + `"}}`, "/user_match/hashed_email"},
		{"hashed_email is not in clear", `{"user_match":{"hashed_email":"` + x(64) + `"}}`, "/user_match/hashed_email"},
		{"hashed_phone has 64 characters", `{"user_match":{"hashed_phone":"` + strings.Repeat("0", 65) + `"}}`, "/user_match/hashed_phone"},
		{"client_ip of version 6", `{"user_match":{"client_ip":"2001:db8::1"}}`, ""},
		{"client_ip is one", `{"user_match":{"client_ip":"203.0.113.7:443"}}`, "/user_match/client_ip"},
		{"client_ip has at most 45 characters", `{"user_match":{"client_ip":"` + x(46) + `"}}`, "/user_match/client_ip"},
		{"client_user_agent of 512 characters", `{"user_match":{"client_user_agent":"` + x(512) + `"}}`, ""},
		{"client_user_agent of 513 characters", `{"user_match":{"client_user_agent":"` + x(513) + `"}}`, "/user_match/client_user_agent"},
		{"client_user_agent of a crawler", `{"user_match":{"client_user_agent":"Bot (bot@example.com)"}}`, ""},

		{"custom_data is an object", `{"custom_data":"x"}`, "/custom_data"},
		{"value 0", `{"custom_data":{"value":0}}`, ""},
		{"value is at least 0", `{"custom_data":{"value":-0.01}}`, "/custom_data/value"},
		{"value is a number", `{"custom_data":{"value":"1"}}`, "/custom_data/value"},
		{"currency is three capitals", `{"custom_data":{"currency":"Usd"}}`, "/custom_data/currency"},
		{"currency has at most three letters", `{"custom_data":{"currency":"USDT"}}`, "/custom_data/currency"},
		{"order_id of 256 characters", `{"custom_data":{"order_id":"` + x(256) + `"}}`, ""},
		{"order_id of 257 characters", `{"custom_data":{"order_id":"` + x(257) + `"}}`, "/custom_data/order_id"},
		{"order_id is a string", `{"custom_data":{"order_id":1001}}`, "/custom_data/order_id"},
		{"content_ids is an array", `{"custom_data":{"content_ids":"sku-1"}}`, "/custom_data/content_ids"},
		{"content_ids holds strings", `{"custom_data":{"content_ids":["sku-1",2]}}`, "/custom_data/content_ids/1"},
		{"content_ids of 257 characters", `{"custom_data":{"content_ids":["` + x(257) + `"]}}`, "/custom_data/content_ids/0"},
		{"content_type of 128 characters", `{"custom_data":{"content_type":"` + x(128) + `"}}`, ""},
		{"content_type of 129 characters", `{"custom_data":{"content_type":"` + x(129) + `"}}`, "/custom_data/content_type"},
		{"content_name is a string", `{"custom_data":{"content_name":1}}`, "/custom_data/content_name"},
		{"content_category is a string", `{"custom_data":{"content_category":[]}}`, "/custom_data/content_category"},
		{"num_items is an integer", `{"custom_data":{"num_items":1.5}}`, "/custom_data/num_items"},
		{"search_string is a string", `{"custom_data":{"search_string":true}}`, "/custom_data/search_string"},
		{"progress_percent 100", `{"custom_data":{"progress_percent":100}}`, ""},
		{"progress_percent is at most 100", `{"custom_data":{"progress_percent":100.1}}`, "/custom_data/progress_percent"},
		{"progress_percent is at least 0", `{"custom_data":{"progress_percent":-1}}`, "/custom_data/progress_percent"},
		{"progress_seconds is a number", `{"custom_data":{"progress_seconds":"1"}}`, "/custom_data/progress_seconds"},
		{"contents is an array", `{"custom_data":{"contents":{}}}`, "/custom_data/contents"},
		{"an item has an id", `{"custom_data":{"contents":[{"quantity":1}]}}`, "/custom_data/contents/0/id"},
		{"an item's id of 257 characters", `{"custom_data":{"contents":[{"id":"` + x(257) + `"}]}}`, "/custom_data/contents/0/id"},
		{"an item's quantity is at least 1", `{"custom_data":{"contents":[{"id":"a","quantity":0}]}}`, "/custom_data/contents/0/quantity"},
		{"an item's quantity is an integer", `{"custom_data":{"contents":[{"id":"a","quantity":1.5}]}}`, "/custom_data/contents/0/quantity"},
		{"an item's price 0", `{"custom_data":{"contents":[{"id":"a","price":0}]}}`, ""},
		{"an item's price is at least 0", `{"custom_data":{"contents":[{"id":"a","price":-1}]}}`, "/custom_data/contents/0/price"},
		{"an item's brand of 257 characters", `{"custom_data":{"contents":[{"id":"a","brand":"` + x(257) + `"}]}}`, "/custom_data/contents/0/brand"},
		{"an item may have other members", `{"custom_data":{"contents":[{"id":"a","name":"Boots","ext":{"a":1}}]}}`, ""},
		{"ext of an item", `{"custom_data":{"contents":[{"id":"a","ext":1}]}}`, "/custom_data/contents/0/ext"},
		{"ext of custom_data is an object", `{"custom_data":{"ext":1}}`, "/custom_data/ext"},
		{"custom_data holds no e-mail address", `{"custom_data":{"further":{"members":"jane@example.com"}}}`, "/custom_data/further/members"},
		{"custom_data holds no postal address", `{"custom_data":{"further":{"Address":"1 Main St"}}}`, "/custom_data/further/Address"},
		{"custom_data holds no phone number", `{"custom_data":{"further":"+12125550000"}}`, "/custom_data/further"},

		{"ext is an object", `{"ext":"x"}`, "/ext"},
		{"no other member", `{"value":1}`, "/value"},
	}
	for _, kind := range strings.Fields(`page_view view_content select_content select_item search share add_to_cart remove_from_cart
		viewed_cart add_to_wishlist initiate_checkout add_payment_info purchase refund lead qualify_lead close_convert_lead
		disqualify_lead complete_registration subscribe follow content_view watch_milestone start_trial app_install app_launch
		contact schedule donate submit_application`) {
		rows = append(rows, row{"event_type " + kind, `{"event_type":"` + kind + `"}`, ""})
	}
	for _, source := range []string{"website", "app", "offline", "phone_call", "chat", "email", "in_store", "system_generated", "other"} {
		rows = append(rows, row{"action_source " + source, `{"action_source":"` + source + `"}`, ""})
	}
	for i := range rows {
		if rows[i].refused != "" {
			rows[i].refused = "/events/0" + rows[i].refused
		}
	}
	check(t, clickidtest.Config{}, capiPath, rows, func(patch string) string { return logEvent(patched(t, validEvent, patch)) })
}

func TestReceiver_logEventRequest(t *testing.T) {
	t.Parallel()
	check(t, clickidtest.Config{}, capiPath, []row{
		{"the smallest request", `{}`, ""},
		{"event_source_id is required", `{"event_source_id":null}`, "/event_source_id"},
		{"event_source_id is a string", `{"event_source_id":1}`, "/event_source_id"},
		{"event_source_id has at least 1 character", `{"event_source_id":""}`, "/event_source_id"},
		{"event_source_id has at most 256 characters", `{"event_source_id":"` + x(257) + `"}`, "/event_source_id"},
		{"events is required", `{"events":null}`, "/events"},
		{"events is an array", `{"events":{}}`, "/events"},
		{"events holds at least 1", `{"events":[]}`, "/events"},
		{"events holds objects", `{"events":["x"]}`, "/events/0"},
		{"test_event_code of 256 characters", `{"test_event_code":"` + x(256) + `"}`, ""},
		{"test_event_code of 257 characters", `{"test_event_code":"` + x(257) + `"}`, "/test_event_code"},
		{"idempotency_key is required", `{"idempotency_key":null}`, "/idempotency_key"},
		{"idempotency_key of 15 characters", `{"idempotency_key":"` + x(15) + `"}`, "/idempotency_key"},
		{"idempotency_key of 255 characters", `{"idempotency_key":"` + x(255) + `"}`, ""},
		{"idempotency_key of 256 characters", `{"idempotency_key":"` + x(256) + `"}`, "/idempotency_key"},
		{"idempotency_key of all characters", `{"idempotency_key":"AZaz09_.:-AZaz09"}`, ""},
		{"idempotency_key of another character", `{"idempotency_key":"0123456789abcde/"}`, "/idempotency_key"},
		{"no other member", `{"ctx":{}}`, "/ctx"},
		{"version, account, context and ext", `{"adcp_version":"3.1-rc.1","adcp_major_version":3,"account":{"account_id":"a"},"context":{"a":1},"ext":{}}`, ""},
		{"a version with patch", `{"adcp_version":"3.1.0"}`, "/adcp_version"},
		{"a major version of text", `{"adcp_major_version":"3"}`, "/adcp_major_version"},
		{"an account of text", `{"account":"a"}`, "/account"},
	}, func(patch string) string { return patched(t, logEvent(validEvent), patch) })
}

func TestReceiver_interchangeActionSources(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]int{
		"website": 200, "app": 200, "in_store": 200, "phone_call": 200, "system_generated": 200, "other": 200,
		"offline": 400, "chat": 400, "email": 400,
	} {
		body := logEvent(patched(t, validEvent, `{"action_source":"`+source+`"}`))
		w := serve(clickidtest.New(clickidtest.Config{}), request(t, "", interchangePath, body))
		require.Equal(t, want, w.Code, source)
	}
}

func TestReceiver_null(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"data_set_id":"ds_test","event_type":"purchase","timestamp":1732356930,"id":null}`,
		`{"data_set_id":"ds_test","event_type":"purchase","timestamp":1732356930,"user_data":null}`,
		`{"data_set_id":null,"event_type":"purchase","timestamp":1732356930}`,
	} {
		w := serve(clickidtest.New(clickidtest.Config{}), request(t, "", eventsPath, body))
		require.Equal(t, 400, w.Code, body)
	}
}

func TestReceiver_batchSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{10_000: 200, 10_001: 400} {
		r := clickidtest.New(clickidtest.Config{})
		w := serve(r, request(t, "", capiPath, logEvent(minimalEvents(n)...)))
		require.Equal(t, want, w.Code)
		if want == 200 {
			require.Equal(t, n, r.Count())
		} else {
			require.Equal(t, []string{"/events"}, fields(t, w.Body.String()))
		}
	}
}

func TestReceiver_milliseconds(t *testing.T) {
	t.Parallel()
	w := serve(clickidtest.New(clickidtest.Config{}), request(t, "", eventsPath, patched(t, validECAPI, `{"timestamp":1732356930123}`)))
	require.Contains(t, w.Body.String(), "must be in seconds, not in milliseconds")
}

// Every problem is named at once.
func TestReceiver_allProblems(t *testing.T) {
	t.Parallel()
	r := clickidtest.New(clickidtest.Config{})
	w := serve(r, request(t, "", eventsPath, `{"data_set_id":"ds_test","event_type":"x","value":"1","currency":"usd","more":1}`))
	require.ElementsMatch(t, []string{"/timestamp", "/event_type", "/value", "/currency", "/more"}, fields(t, w.Body.String()))
	w = serve(r, request(t, "", capiPath, logEvent(validEvent, `{"event_id":"a"}`, `{"event_id":7,"event_type":"lead","event_time":"2024-11-23T10:15:30Z"}`)))
	require.Equal(t, []string{"/events/1/event_type", "/events/1/event_time", "/events/2/event_id"}, fields(t, w.Body.String()))
}
