package receiver

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// detail is everything about an entry.
type detail struct {
	Event Entry `json:"event"`
	// Raw is the event's JSON as it was sent.
	Raw string `json:"raw,omitempty"`
	// Explanations are the reasons of the verdict, and how to fix it.
	Explanations []explanation `json:"explanations"`
	Request      request       `json:"request"`
	Response     message       `json:"response"`
	// Curl is a command that sends the request again. The API key is read from
	// CLICKID_API_KEY.
	Curl string `json:"curl"`
	// Arrivals are all arrivals of the same event that are kept.
	Arrivals []arrival `json:"arrivals"`
}

// message is a request or a response.
type message struct {
	Status int         `json:"status,omitempty"`
	Header http.Header `json:"header"`
	// Body is the text of the body. Shortened reports that it is only the
	// beginning.
	Body      string `json:"body"`
	Bytes     int    `json:"bytes"`
	Shortened bool   `json:"shortened,omitempty"`
	Cut       bool   `json:"cut,omitempty"`
}

type request struct {
	message
	Method         string `json:"method"`
	Target         string `json:"target"` // path and query
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	// Replayed reports that the response is that of an earlier request with the
	// same idempotency key.
	Replayed bool `json:"replayed,omitempty"`
	// Events is the number of events of the request.
	Events int `json:"events"`
}

// arrival is an arrival of an event in the detail of another one.
type arrival struct {
	Number  int    `json:"number"`
	Verdict string `json:"verdict"`
	Status  int    `json:"status"`
}

// shownBytes bounds a body in the detail of an event. The command for curl has
// the whole body.
const shownBytes = 256 << 10

func newMessage(header http.Header, body []byte) message {
	m := message{Header: header, Bytes: len(body)}
	if len(body) > shownBytes {
		end := shownBytes
		for end > shownBytes-utf8.UTFMax && !utf8.RuneStart(body[end]) {
			end--
		}
		body, m.Shortened = body[:end], true
	}
	m.Body = string(body)
	return m
}

func (r *Receiver) showEvent(req *http.Request) (any, error) {
	number, err := strconv.Atoi(req.PathValue("number"))
	if err != nil {
		return nil, errors.New("an event is identified by its number")
	}
	d, ok := r.store.detail(number, req.Host)
	if !ok {
		return nil, problem{http.StatusNotFound, errors.New("the event does not exist, or it is not kept any more")}
	}
	return d, nil
}

func (s *store) detail(number int, host string) (detail, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.after(number - 1)
	if i == len(s.entries) || s.entries[i].Number != number {
		return detail{}, false
	}
	k := s.entries[i]
	x := k.exchange
	d := detail{
		Event:        s.current(k),
		Explanations: explain(k),
		Request: request{
			message: newMessage(x.Request.Header, x.Body), Method: x.Request.Method, Target: target(x.Request),
			IdempotencyKey: x.Request.IdempotencyKey, Replayed: x.Request.Replayed, Events: len(x.Events),
		},
		Response: newMessage(x.Response.Header, x.Response.Body),
		Curl:     curl(x, host),
		Arrivals: []arrival{},
	}
	d.Response.Status, d.Response.Cut = x.Response.Status, x.Response.Cut
	if k.Kind == kindEvent {
		d.Raw = indented(k.json())
	}
	if id, ok := k.identity(); ok {
		for _, other := range s.entries {
			if same, ok := other.identity(); ok && same == id {
				d.Arrivals = append(d.Arrivals, arrival{other.Number, other.Verdict, other.Status})
			}
		}
	}
	return d, true
}

// maxDepth is the depth of JSON that is shown in lines. Deeper JSON would consist
// of indentation.
const maxDepth = 32

// indented returns JSON in lines if that makes it easier to read.
func indented(data []byte) string {
	var b bytes.Buffer
	if len(data) > shownBytes || depth(data) > maxDepth || json.Indent(&b, data, "", "  ") != nil {
		return newMessage(nil, data).Body
	}
	return b.String()
}

// depth returns how deep objects and arrays are nested in valid JSON.
func depth(data []byte) (deepest int) {
	dec, level := json.NewDecoder(bytes.NewReader(data)), 0
	for {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			level++
			deepest = max(deepest, level)
		case json.Delim('}'), json.Delim(']'):
			level--
		}
	}
}
