package doctor

// Name is the stable name of a finding.
type Name string

// The names of all findings.
const (
	landing       Name = "landing"
	encryption    Name = "https"
	pageStatus    Name = "status"
	redirectLoop  Name = "redirect-loop"
	redirectQuery Name = "redirect-query"
	redirectHost  Name = "redirect-host"
	redirectHTTPS Name = "redirect-https"
	redirectHTTP  Name = "redirect-http"

	cookieSet      Name = "cookie"
	cookieLate     Name = "cookie-late"
	cookieReplaced Name = "cookie-replaced"
	cookieTimeout  Name = "timeout"
	cookieRefused  Name = "cookie-refused"
	cookieSecure   Name = "cookie-secure"
	cookieHTTPOnly Name = "cookie-httponly"
	cookieStrict   Name = "cookie-strict"
	cookieSameSite Name = "cookie-samesite"
	cookieSession  Name = "cookie-session"
	cookieLifetime Name = "cookie-lifetime"
	cookiePrefix   Name = "cookie-prefix"
	cookiePath     Name = "cookie-path"
	cookieTwice    Name = "cookie-twice"
	cookiePlain    Name = "cookie-plain"
	cookieSize     Name = "cookie-size"

	secondPage    Name = "second-page"
	checkoutForm  Name = "checkout"
	cookieRemoved Name = "cookie-removed"
	cookieRenewed Name = "cookie-renewed"

	cacheShared     Name = "cache-shared"
	cacheOverridden Name = "cache-overridden"
	cacheSilent     Name = "cache-silent"
	cacheHit        Name = "cache-hit"
	cacheLeak       Name = "cache-leak"
	cookieOrganic   Name = "cookie-organic"

	requestGPC       Name = "gpc"
	requestHead      Name = "head"
	requestPrefetch  Name = "prefetch"
	prefetchCache    Name = "prefetch-cache"
	requestPrerender Name = "prerender"
	requestEmbedded  Name = "cookie-stuffing"
	otherParameter   Name = "parameter"

	valueError       Name = "value-error"
	valueReflected   Name = "value-reflected"
	valuePlaceholder Name = "value-placeholder"
	referrerHidden   Name = "referrer-hidden"
	referrerLeak     Name = "referrer-leak"

	platformKey      Name = "key"
	platformSource   Name = "event-source"
	platformHealth   Name = "source-health"
	platformUnseen   Name = "source-unseen"
	platformError    Name = "source-error"
	platformTest     Name = "test-event"
	platformWarnings Name = "test-event-warning"
	platformClock    Name = "clock"
)

// Kind describes a finding.
type Kind struct {
	Name     Name
	Severity Severity // if the check fails
	Healthy  string   // the meaning if it passes
	Meaning  string   // the meaning if it fails
	Change   string
}

// Kinds returns all kinds of findings in the order of reports.
func Kinds() []Kind {
	return []Kind{
		{landing, Fault, "The landing page opens.",
			"The landing page cannot be opened.",
			"Check the address, the server and its certificate; `-ca` trusts another certificate authority."},
		{encryption, Fault, "The landing page is encrypted, or on this machine.",
			"The landing page uses plain HTTP, on which browsers refuse secure cookies.",
			"Serve the site over HTTPS."},
		{pageStatus, Fault, "The pages respond without an error.",
			"A page responds with an error.",
			"Fix the page, or name another one."},
		{redirectLoop, Fault, "The redirects end.",
			"The redirects do not end, or lead to an address that is not a web page.",
			"Correct the redirects."},
		{redirectQuery, Fault, "No redirect drops the click parameter too early.",
			"A redirect drops the click parameter before the click is stored.",
			"Keep the query in the redirect, or put the tracker in front of it."},
		{redirectHost, Fault, "No redirect leaves the host of the cookie without the click parameter.",
			"A redirect without the click parameter leads to a host that does not get the cookie.",
			"Keep the query in the redirect, or share the cookie with `Cookie.Domain`. With `StripParam`, set `Config.Hosts` to the hosts after the redirect."},
		{redirectHTTPS, Fault, "No redirect to HTTPS drops the click parameter.",
			"A redirect from HTTP to HTTPS drops the click parameter.",
			"Keep the query in the redirect, and link ads to the HTTPS address."},
		{redirectHTTP, Fault, "No redirect leads to plain HTTP.",
			"A redirect leads from HTTPS to plain HTTP, where browsers do not send secure cookies.",
			"Redirect to the HTTPS address."},

		{cookieSet, Fault, "The landing stores the click in a cookie.",
			"No response stores the click in a cookie.",
			"Put the tracker around the whole application. Check that `Config.Hosts` and `Cookie.Domain` cover the host, and the names in `-param` and `-cookie`. If the site waits for consent, pass the banner's cookie with `-send-cookie`."},
		{cookieLate, Warning, "The landing itself stores the click.",
			"The landing does not store the click; the next page takes it from the Referer.",
			"Let the tracker handle the landing: no cache in front of it may serve the page."},
		{cookieReplaced, Fault, "No other cookie replaces that of the click.",
			"The click's cookie is missing where the page sets another cookie.",
			"Put middleware that replaces headers, such as a timeout, outside of the tracker."},
		{cookieTimeout, Fault, "The landing does not time out without the cookie.",
			"The landing times out, and that response does not set the cookie.",
			"Make the landing faster than its timeout."},
		{cookieRefused, Fault, "Browsers accept the cookie.",
			"Browsers refuse the cookie.",
			"Correct the attribute, such as `Cookie.Domain`, or the proxy that changes the cookie."},
		{cookieSecure, Fault, "The cookie is secure, or on this machine.",
			"The cookie has no attribute Secure, so browsers also send it over plain HTTP.",
			"Remove `Cookie.Insecure` outside of development."},
		{cookieHTTPOnly, Warning, "Scripts cannot read the cookie.",
			"The cookie has no attribute HttpOnly, so scripts can read it.",
			"Add HttpOnly, or correct the proxy that removes it."},
		{cookieStrict, Fault, "The cookie is sent after links from other sites.",
			"The cookie has SameSite=Strict and is not sent when the visitor comes back from another site, such as a payment page.",
			"Use SameSite=Lax."},
		{cookieSameSite, Warning, "The cookie has an attribute SameSite that all browsers treat alike.",
			"The cookie has SameSite=None or no SameSite, which browsers treat differently.",
			"Use SameSite=Lax."},
		{cookieSession, Fault, "The cookie outlives the browser's session.",
			"The cookie has no lifetime and ends with the browser's session.",
			"Add Max-Age with the lifetime of a click, such as 30 days."},
		{cookieLifetime, Warning, "The cookie's lifetime is from 7 to 400 days.",
			"The cookie's lifetime is less than 7 or more than 400 days, which browsers shorten to 400.",
			"Set `Config.TTL` to the time between click and order that you want to count, such as 30 days."},
		{cookiePrefix, Warning, "The cookie's name has a prefix that browsers protect, or is on this machine.",
			"The cookie's name has neither of the prefixes `__Host-` and `__Secure-`, so that other hosts of the domain or plain HTTP can set it.",
			"Let the tracker name the cookie: remove `Cookie.Insecure` outside of development."},
		{cookiePath, Fault, "The cookie is for all paths.",
			"The cookie is sent to a part of the site only.",
			"Use Path=/, or correct the proxy that changes the path."},
		{cookieTwice, Fault, "The browser has one cookie of the name.",
			"The browser gets two cookies of the click, and the site may read the older one.",
			"Set one cookie. Give other trackers another `Cookie.Name`, and delete the cookie of an earlier configuration."},
		{cookiePlain, Warning, "The cookie is not the click ID itself.",
			"The cookie is the click ID itself, so anyone can forge it.",
			"Store clicks on the server or sign them, as the stores of the library do."},
		{cookieSize, Fault, "A click ID of 512 characters fits into the cookie.",
			"Browsers refuse the cookie of a click ID of 512 characters.",
			"Use a store on the server, or refuse such IDs with `Config.Accept`."},

		{secondPage, Fault, "The browser sends the cookie to the next page.",
			"The browser does not send the cookie to the next page.",
			"Share the cookie with `Cookie.Domain` if the page has another host of the domain."},
		{checkoutForm, Fault, "The browser sends the cookie with the checkout form.",
			"The browser does not send the cookie with the checkout form.",
			"Share the cookie with `Cookie.Domain`, or store the click's token with the order before the visitor leaves the site."},
		{cookieRemoved, Fault, "Later pages keep the cookie.",
			"A later page deletes the cookie.",
			"Find the code that deletes cookies, such as that of a login, a session or a consent banner."},
		{cookieRenewed, Warning, "Later pages do not set the cookie again.",
			"A page without a click sets the cookie again: it does not recognise the cookie, or renews it on each page.",
			"Set the cookie for landings only, and compare the cookie's name and keys with the configuration."},

		{cacheShared, Fault, "Shared caches must not store the landing.",
			"Shared caches may store the landing and give its cookie to other visitors.",
			"Exclude URLs with the parameter where `Cache-Control` is set, or use `StripParam`."},
		{cacheOverridden, Warning, "Cache-Control forbids shared caches to store the landing.",
			"Only `CDN-Cache-Control` protects the landing, and not all caches know it.",
			"Do not replace the tracker's `Cache-Control: private, no-cache`."},
		{cacheSilent, Warning, "The landing's headers tell caches what to do.",
			"The landing sets a cookie without `Cache-Control`, so that the configuration of each cache decides.",
			"Send `Cache-Control: private, no-cache` with the cookie, or correct the proxy that removes it."},
		{cacheHit, Fault, "No cache serves the landing.",
			"A cache serves the landing, so the click does not reach the server.",
			"Pass requests with the click parameter to the server, and do not ignore it in the cache's key."},
		{cacheLeak, Fault, "Two visitors get two cookies.",
			"Two visitors with different clicks get the same cookie.",
			"Delete the landing from the cache, and do not let it store responses that set cookies."},
		{cookieOrganic, Fault, "A visitor without a click gets no cookie.",
			"A visitor without a click gets the cookie of a click.",
			"Do not let caches store responses that set cookies, and set the cookie for landings only."},

		{requestGPC, Fault, "Global Privacy Control is respected.",
			"The click of a visitor with `Sec-GPC: 1` is stored.",
			"Remove `Config.IgnoreGPC`, or ignore this finding if the law that applies to you permits it."},
		{requestHead, Fault, "A HEAD request stores no click.",
			"A HEAD request stores a click, so that link checkers count as visitors.",
			"Store clicks of GET requests only."},
		{requestPrefetch, Fault, "A link prefetch stores no click.",
			"A link prefetch stores the click of a page that the visitor may never open.",
			"Refuse requests with `Sec-Purpose: prefetch` that are not navigations."},
		{prefetchCache, Warning, "Browsers do not reuse a prefetched landing.",
			"Browsers may show a prefetched landing again for five minutes, so that the click does not reach the server.",
			"Respond to a link prefetch with `Cache-Control: no-store`."},
		{requestPrerender, Warning, "The click of a prerendered landing is stored.",
			"The click of a prerendered landing is not stored, and the visit itself may send no request.",
			"Store the clicks of navigations with `Sec-Purpose: prefetch`."},
		{requestEmbedded, Fault, "Hidden images and frames store no click.",
			"A hidden image or frame on another site stores a click (cookie stuffing).",
			"Check `Sec-Fetch-Dest` and `Sec-Fetch-Mode`, and that the proxy passes them on."},
		{otherParameter, Warning, "All names of the click parameter are recognised.",
			"A name of the click parameter is not recognised.",
			"Add the name to `Config.Params`, or limit the check with `-param`."},

		{valueError, Fault, "Unusual click IDs cause no error.",
			"An unusual click ID causes an error of the server.",
			"Check the parameter before it is stored; the landing must be served in any case."},
		{valueReflected, Fault, "Hostile click IDs do not reach cookies and headers.",
			"A hostile value of the parameter appears in a cookie or a header.",
			"Accept only `[A-Za-z0-9._~-]`, as `clickid.ValidID` does."},
		{valuePlaceholder, Warning, "Placeholders do not count as clicks.",
			"A placeholder, such as `{clkid}` or `null`, is stored as a click.",
			"Refuse placeholders, as `clickid.ValidID` does."},
		{referrerHidden, Warning, "The next page gets the Referer of the landing.",
			"The `Referrer-Policy` hides the landing's query from the next page, so that a click cannot be recovered after consent or a cached landing.",
			"Use `strict-origin-when-cross-origin` or `same-origin`."},
		{referrerLeak, Warning, "Other sites do not get the landing's query.",
			"The `Referrer-Policy` sends the landing's query with the click ID to other sites.",
			"Use `strict-origin-when-cross-origin` or `same-origin`."},

		{platformKey, Fault, "The platform accepts the API key.",
			"The platform does not accept the API key, or cannot be reached.",
			"Check `CLICKID_API_KEY`, `-base-url` and `-staging`."},
		{platformSource, Fault, "The event source is registered.",
			"The event source is not registered, so the platform refuses its events.",
			"Register it with `clickid sources sync`, or correct `-event-source` and `-advertiser`."},
		{platformHealth, Fault, "The platform's health of the event source is good.",
			"The event source needs attention.",
			"Fix the cause that the platform names."},
		{platformUnseen, Warning, "The platform has seen events of the source.",
			"The platform has not seen an event of the source yet.",
			"Send a test event with `-test-code`, then check that orders reach the outbox or client."},
		{platformError, Warning, "The platform reports no error of the event source.",
			"The platform reports a last error of the event source.",
			"Compare its time with your deployments, and fix its cause if it is recent."},
		{platformTest, Fault, "The platform accepts a test event.",
			"The platform does not accept a test event.",
			"Fix the cause that the response names."},
		{platformWarnings, Warning, "The platform has no warnings about the test event.",
			"The platform warns about the test event.",
			"Fix the cause that the response names."},
		{platformClock, Fault, "The clock agrees with that of the platform.",
			"The clock of this machine differs from that of the platform by more than a minute.",
			"Synchronise the clock (NTP). Events with times in the future are refused."},
	}
}
