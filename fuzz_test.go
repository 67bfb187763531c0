package clickid

import (
	"bytes"
	"context"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clickid/clickid/internal/iso4217"
	"github.com/clickid/clickid/internal/payload"
	"github.com/clickid/clickid/internal/query"
)

// These tests fuzz what visitors send: URLs, Referers, cookies and tokens.

var fuzzParams = query.New([]string{"clkid", "sc3clid"})

var fuzzQueries = []string{
	"", "clkid=abc", "clkid=01ARZ3NDEKTSV4RRFFQ69G5FAV&x=1", "sc3clid=b&clkid=a", "clkid=&clkid=%zz&clkid=a", "%63lkid=%61",
	"clkid", "a=1;clkid=b", "clkid=a;b", "&&clkid=a&&", "=clkid&clkid=%00", "clkid=a+b", "f%5B%5D=1&clki%6=a&%&%4", "clkid=%2561",
	"clkid=a%0d%0a", "clkid=\xff", "q=\x00&clkid=a", "utm_source=scope3",
}

// FuzzStrippedTarget looks for a redirect that leads elsewhere.
func FuzzStrippedTarget(f *testing.F) {
	for _, raw := range fuzzQueries {
		f.Add("/?" + raw)
	}
	for _, path := range []string{
		"", "/", "//evil.example", "///evil.example", `/\evil.example`, `\/evil.example`, `\\evil.example`, "/\t/evil.example", "/\r\n/evil.example",
		"/ /evil.example", "/./\\evil.example", "/..//evil.example", "/.//evil.example", "/%2fevil.example", "/%5cevil.example", "/@evil.example",
		"/:80", "https://evil.example/", "evil.example:443", "*", "/a;b/c:d@e", "/#", "/é", "/\x00", "/\x7f", "?",
	} {
		f.Add(path + "?clkid=abc&x=1")
	}
	base, err := url.Parse("https://shop.example/some/page")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r := &http.Request{RequestURI: target, URL: &url.URL{}}
		location, ok := strippedTarget(r, fuzzParams)
		if !ok {
			return
		}
		path, rawQuery, _ := strings.Cut(target, "?")
		newPath, newQuery, _ := strings.Cut(location, "?")
		if newPath != path || newQuery != fuzzParams.Strip(rawQuery) || location == target {
			t.Fatalf("%q became %q", target, location)
		}
		for i := 0; i < len(location); i++ {
			if location[i] <= ' ' || location[i] == 0x7f {
				t.Fatalf("%q has the character %#x", location, location[i])
			}
		}
		// As Go reads it, and as browsers do: they take "\" for "/" and ignore
		// tabs and line ends.
		browser := strings.NewReplacer(`\`, "/", "\t", "", "\n", "", "\r", "").Replace(location)
		for _, text := range []string{location, browser} {
			if !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") {
				t.Fatalf("%q is not a path on this site", text)
			}
			if u, err := url.Parse(text); err == nil {
				if u = base.ResolveReference(u); u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil {
					t.Fatalf("%q leads to %v", text, u)
				}
			}
		}
	})
}

// FuzzReferer looks for a click that is taken from another site's URL.
func FuzzReferer(f *testing.F) {
	for _, referer := range []string{
		"https://shop.example/?clkid=abc", "http://shop.example?clkid=abc#top", "https://SHOP.example/a?x=1&sc3clid=b", "https://evil.example/?clkid=abc",
		"https://shop.example.evil.example/?clkid=abc", "https://shop.example@evil.example/?clkid=abc", "https://evil.example#?clkid=abc",
		`https://evil.example\@shop.example/?clkid=abc`, "//shop.example/?clkid=abc", "?clkid=abc", "https://shop.example:443/?clkid=abc",
		"android-app://shop.example/?clkid=abc", "https://[::1]/?clkid=abc", "https://shop.example/%zz?clkid=abc",
	} {
		for _, site := range []string{"", "same-origin", "cross-site"} {
			f.Add(referer, "shop.example", site)
		}
	}
	f.Fuzz(func(t *testing.T, referer, host, site string) {
		r := &http.Request{Method: http.MethodGet, Host: host, Header: http.Header{"Referer": {referer}}}
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		id, param := (&Tracker{params: fuzzParams, accept: ValidID}).refererClick(r)
		if id == "" {
			return
		}
		if !ValidID(id) || !slices.Contains(fuzzParams.Names(), param) {
			t.Fatalf("%q gave %q, %q", referer, id, param)
		}
		if site != "" {
			if site != "same-origin" {
				t.Fatalf("taken although the browser says %q", site)
			}
			return
		}
		u, err := url.Parse(referer)
		if err != nil || !strings.EqualFold(u.Host, host) || u.Scheme != "https" && u.Scheme != "http" {
			t.Fatalf("%q is not a page of %q", referer, host)
		}
		if own := fuzzParams.Find(u.RawQuery, ValidID).Value; own != id {
			t.Fatalf("%q carries %q, not %q", referer, own, id)
		}
	})
}

// FuzzCookieHeader compares the search for the cookie with net/http's.
func FuzzCookieHeader(f *testing.F) {
	for _, line := range []string{
		"", "__Host-clkid=abc", "a=1; __Host-clkid=abc; b=2", "__Host-clkid=a; __Host-clkid=b", "__Host-clkid", "__Host-clkid=", ";;=; =;",
		`__Host-clkid="abc"`, "__Host-clkid = abc", " \t__Host-clkid=abc \t", "__Host-clkid=a=b", "__host-clkid=abc", "x__Host-clkid=abc",
	} {
		f.Add(line, line)
	}
	jar, problems := newCookieJar(Cookie{}, DefaultTTL)
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		lines := []string{first, second}
		values := slices.Collect(jar.values(lines))
		if jar.present(lines) != (len(values) > 0) || len(values) > maxCookies {
			t.Fatalf("%q gave %q", lines, values)
		}
		var want []string
		for _, c := range (&http.Request{Header: http.Header{"Cookie": lines}}).Cookies() {
			if c.Name == jar.name && validToken(c.Value) {
				want = append(want, c.Value)
			}
		}
		both := first + ";" + second
		if strings.ContainsAny(both, "\"\r\n") || strings.Contains(both, " =") || strings.Contains(both, "\t=") || strings.Count(both, ";") > 1000 {
			return // net/http takes off quotes, line ends and spaces, which no browser sends here, and bounds the number
		}
		got := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return !validToken(v) })
		if len(values) < maxCookies && !slices.Equal(got, want) {
			t.Fatalf("%q gave %q, and net/http finds %q", lines, got, want)
		}
	})
}

func fuzzStore(f *testing.F, keys ...string) *cookieStore {
	f.Helper()
	var list [][]byte
	for _, key := range keys {
		list = append(list, bytes.Repeat([]byte(key), MinCookieKeyLength))
	}
	s, err := NewCookieStore(list...)
	if err != nil {
		f.Fatal(err)
	}
	store := s.(*cookieStore)
	store.now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	return store
}

// FuzzToken decodes tokens that are not signed, and contents that are.
func FuzzToken(f *testing.F) {
	store := fuzzStore(f, "1", "2")
	now := store.now()
	c := Click{ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Param: "clkid", At: now, Expires: now.Add(DefaultTTL)}
	token, err := store.Save(context.Background(), c)
	if err != nil {
		f.Fatal(err)
	}
	good := payload.Append(nil, payload.Click(c))
	f.Add(token, good)
	f.Add(token+"=", good[:3])
	f.Add(token[:len(token)-1], append(good, 0))
	f.Add("", []byte{})
	f.Add("MTgwMDAwMDAwMHxhYmN8", []byte{1, 0x80, 0x80, 0x80})
	f.Add(strings.Repeat("A", MaxTokenLength+1), bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, text string, content []byte) {
		// Each run has signed this click under another token.
		if click, err := store.Load(context.Background(), text); err == nil && !bytes.Equal(payload.Append(nil, payload.Click(click)), good) {
			t.Fatalf("%q is not signed and gives %q", text, click.ID)
		}
		signed, err := store.signer.Sign(tokenPurpose, append(make([]byte, nonceLength), content...))
		if err != nil {
			t.Fatal(err)
		}
		click, err := store.Load(context.Background(), signed)
		if err != nil {
			return
		}
		if click.Validate() != nil || !click.Expires.After(now) || click.At.After(now.Add(futureTolerance)) || len(signed) > MaxTokenLength {
			t.Fatalf("%x gives the click %q, %q, %v, %v", content, click.ID, click.Param, click.At, click.Expires)
		}
		again, err := store.Save(context.Background(), click)
		if err != nil {
			t.Fatalf("a click that was loaded cannot be saved: %v", err)
		}
		if same, err := store.Load(context.Background(), again); err != nil || same != click {
			t.Fatalf("the saved click differs: %v", err)
		}
	})
}

// FuzzSavedClick saves clicks, and damages their tokens.
func FuzzSavedClick(f *testing.F) {
	store, other := fuzzStore(f, "1"), fuzzStore(f, "2")
	now := store.now()
	f.Add("abc", "clkid", int64(0), int64(3600), uint(0), byte('A'))
	f.Add(strings.Repeat("x", MaxIDLength), strings.Repeat("p", maxParamLength), int64(-3600), int64(MaxTTL/time.Second), uint(70), byte('-'))
	f.Add("a b", "", int64(400), int64(-1), uint(1), byte('='))
	f.Fuzz(func(t *testing.T, id, param string, age, lifetime int64, position uint, character byte) {
		at := now.Add(time.Duration(age) * time.Second)
		c := Click{ID: id, Param: param, At: at.UTC(), Expires: at.Add(time.Duration(lifetime) * time.Second).UTC()}
		token, err := store.Save(context.Background(), c)
		if err != nil {
			if c.Validate() == nil && c.Expires.After(now) && !c.At.After(now.Add(futureTolerance)) && lifetime <= int64(MaxTTL/time.Second) && lifetime > 0 {
				t.Fatalf("a good click was refused: %v", err)
			}
			return
		}
		if !validToken(token) {
			t.Fatalf("the token %q has not a token's form", token)
		}
		loaded, err := store.Load(context.Background(), token)
		switch {
		case c.At.After(now.Add(futureTolerance)):
			if err == nil {
				t.Fatal("a click from the future was loaded")
			}
		case err != nil || loaded != c:
			t.Fatalf("saved %v, loaded %v: %v", c, loaded, err)
		}
		if _, err := other.Load(context.Background(), token); err == nil {
			t.Fatal("another key verified the token")
		}
		damaged := []byte(token)
		damaged[position%uint(len(damaged))] = character
		if string(damaged) != token {
			if _, err := store.Load(context.Background(), string(damaged)); err == nil {
				t.Fatalf("%q, damaged to %q, was loaded", token, damaged)
			}
		}
	})
}

var (
	amountForm   = regexp.MustCompile(`^ *-?([0-9]+\.?[0-9]*|\.[0-9]+) *$`)
	currencyForm = regexp.MustCompile(`^ *[A-Za-z]{3} *$`)
	canonical    = regexp.MustCompile(`^(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?$`)
)

// FuzzAmount compares amounts with exact arithmetic.
func FuzzAmount(f *testing.F) {
	for _, number := range []string{
		"", "0", "0.00", "149.99", "-1", "+1", "1e5", "01", "1.", ".5", "1,5", "1_000", "999999999999999.999999999", "1234567890123456",
		"1.0000000000", "126.0420168067226891", "0.0000000025", "999999999999999.9999999999", "-0.00", "-.0", "１", "NaN", "0x10", "1\n",
	} {
		for _, currency := range []string{"USD", "JPY", "KWD", "CLF", "usd", " uSd", "", "EURO", "US\n", "uſd"} {
			f.Add(number, int64(len(number))*1001, currency)
		}
	}
	f.Add("1", int64(-1), "USD")
	f.Add("1", int64(1<<63-1), "KWD")
	f.Fuzz(func(t *testing.T, number string, units int64, currency string) {
		a := Decimal(number, currency)
		want, ok := exact(number)
		if valid := ok && currencyForm.MatchString(currency); valid != (a.Validate() == nil) {
			t.Fatalf("%q %q: %v", number, currency, a.Validate())
		}
		if a.Validate() == nil {
			got, _ := new(big.Rat).SetString(a.Number())
			difference := new(big.Rat).Sub(got, want)
			if !canonical.MatchString(a.Number()) || difference.Abs(difference).Cmp(big.NewRat(1, 2_000_000_000)) > 0 ||
				a.rounded != (difference.Sign() != 0) {
				t.Fatalf("%q %q became %v", number, currency, a)
			}
			if _, decimals, _ := strings.Cut(a.Number(), "."); len(decimals) < iso4217.Exponent(a.Currency()) {
				t.Fatalf("%q %q became %v", number, currency, a)
			}
			if again := Decimal(a.Number(), a.Currency()); again.Number() != a.Number() {
				t.Fatalf("%v became %v", a, again)
			}
		}
		checkAmountJSON(t, a)

		m := Minor(units, currency)
		if m.Validate() != nil {
			if units >= 0 && units < 1e15 && currencyForm.MatchString(currency) {
				t.Fatalf("%d %q: %v", units, currency, m.Validate())
			}
			return
		}
		want = new(big.Rat).SetFrac64(units, int64Power(iso4217.Exponent(m.Currency())))
		got, ok := new(big.Rat).SetString(m.Number())
		if !ok || got.Cmp(want) != 0 || units < 0 {
			t.Fatalf("%d units of %s became %s", units, currency, m.Number())
		}
		checkAmountJSON(t, m)
	})
}

// exact returns the number that Decimal takes, unless it refuses it.
func exact(number string) (*big.Rat, bool) {
	if !amountForm.MatchString(number) {
		return nil, false
	}
	number = strings.Trim(number, " ")
	if strings.HasPrefix(number, "-.") {
		number = "-0" + number[1:]
	}
	r, ok := new(big.Rat).SetString(number)
	limit := big.NewRat(1_000_000_000_000_000, 1)
	limit.Sub(limit, big.NewRat(1, 2_000_000_000)) // rounds up to the sixteenth digit
	return r, ok && r.Sign() >= 0 && r.Cmp(limit) < 0
}

func int64Power(exponent int) int64 {
	power := int64(1)
	for range exponent {
		power *= 10
	}
	return power
}

// checkAmountJSON checks that an amount survives a queue as it is, right or
// wrong.
func checkAmountJSON(t *testing.T, a Amount) {
	t.Helper()
	data, err := json.Marshal(a)
	if err != nil {
		t.Fatalf("%v cannot be written: %v", a, err)
	}
	var again Amount
	err = json.Unmarshal(data, &again)
	a.rounded = false // the number is exact by then
	if err != nil || again != a {
		t.Fatalf("%v became %v: %v", a, again, err)
	}
}

// FuzzClean checks what Clean promises: a clean event stays as it is, every
// event can be stored, and one that is refused is not sent when it is read
// back.
func FuzzClean(f *testing.F) {
	for _, text := range []string{
		"", "a", "\x00", "\xff", "a\nb", "jane@example.com", "+12125550000", "203.0.113.7, 10.0.0.1", "Web Site", "149.99", "-1",
		strings.Repeat("A", 64), strings.Repeat("ü", 600), `{"a":[1,"x"]}`, "usd", "[2001:db8::1%eth0]:443", "\ufffd",
	} {
		f.Add(text, "x", int64(1732356930), 0, uint32(0xFFFF_FFFF))
		f.Add("x", text, int64(-1), 90061, uint32(0x5555_5555))
	}
	f.Fuzz(func(t *testing.T, text, other string, unix int64, offset int, mask uint32) {
		set := func(bit int, field *string, value string) {
			if mask&(1<<bit) != 0 {
				*field = value
			}
		}
		e := Event{Type: Purchase, ID: "1", Time: time.Unix(unix, 0).In(time.FixedZone("", offset)), Click: Click{ID: "x"}}
		for i, field := range []*string{
			&e.ID, &e.OrderID, &e.PageURL, &e.CustomName, &e.Click.ID, &e.Click.Param, &e.ClickToken, &e.User.ExternalID, &e.User.HashedEmail,
			&e.User.HashedPhone, &e.User.IP, &e.User.UserAgent, &e.User.GPP, (*string)(&e.Source), (*string)(&e.Type),
		} {
			set(i, field, []string{text, other}[i%2])
		}
		if mask&(1<<20) != 0 {
			e.Value = Decimal(text, other)
			e.Items = []Item{{ID: text, Name: other, Price: Decimal(other, text), Quantity: offset}, {ID: other, Brand: text, Price: Minor(unix, "usd")}}
			e.User.IDs = []UserID{{Type: UserIDType(other), Value: text}, {Type: UserIDHashedEmail, Value: text}}
			e.Properties = map[string]any{text: other, "raw": json.RawMessage(text), other: []any{text, unix}}
			e.Click.At, e.Consent = time.Unix(unix, 0), Consent(offset)
		}
		cleaned, warnings, err := e.Clean()
		if len(warnings) > maxWarnings+1 {
			t.Fatalf("%d warnings", len(warnings))
		}
		stored, marshalErr := json.Marshal(cleaned)
		if marshalErr != nil {
			t.Fatalf("%v cannot be stored: %v", cleaned, marshalErr)
		}
		var back Event
		if unmarshalErr := json.Unmarshal(stored, &back); unmarshalErr != nil {
			t.Fatalf("%s cannot be read: %v", stored, unmarshalErr)
		}
		again, _, errAgain := back.Clean()
		if err != nil {
			if errAgain == nil && back.Consent != ConsentDenied {
				t.Fatalf("%s was refused with %v and is sent when it is read back", stored, err)
			}
			return
		}
		if errAgain != nil {
			t.Fatalf("%s is refused when it is read back: %v", stored, errAgain)
		}
		if storedAgain, _ := json.Marshal(again); string(storedAgain) != string(stored) {
			t.Fatalf("%s became %s", stored, storedAgain)
		}
	})
}
