package doctor

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

// visitNextPage opens a second page from the landing.
func (e *exam) visitNextPage(ctx context.Context) (stop string) {
	from := e.landing.last().url
	if e.Page == nil {
		e.Page = e.withoutClick(from)
	}
	stored := len(e.landing.cookies()) > 0
	refused := !slices.ContainsFunc(e.customer.jar.cookies, func(c storedCookie) bool { return e.isClick(c.name) })
	e.next = e.customer.visit(ctx, request{url: e.Page, from: from, policy: e.policy, purpose: navigation()})
	if e.next.err != "" {
		e.note(pageStatus, true, place(e.Page)+": "+e.next.err)
		e.skip("the next page cannot be opened", secondPage, cookieRemoved, cookieRenewed, checkoutForm)
		return ""
	}
	last := e.next.last()
	e.noteStatus(last)
	switch {
	case !stored:
		e.late = len(e.next.cookies()) > 0
	case refused:
		e.skip("browsers refuse the cookie", secondPage, cookieRemoved, cookieRenewed)
	default:
		e.note(secondPage, len(last.sent) == 0, place(last.url))
		e.judgeKept(e.next)
	}
	return ""
}

// judgeKept notes whether a page without a click changes the click's cookie.
func (e *exam) judgeKept(page visit) {
	for _, h := range page.hops {
		deleted, renewed := false, false
		for _, c := range h.set {
			deleted = deleted || c.deletes()
			renewed = renewed || !c.deletes()
		}
		e.note(cookieRemoved, deleted && !renewed, place(h.url))
		e.note(cookieRenewed, renewed && len(h.sent) > 0, place(h.url))
	}
}

// postCheckout posts the checkout form as the browser does from the second page.
func (e *exam) postCheckout(ctx context.Context) (stop string) {
	if e.Checkout == nil {
		e.skip("-checkout names the address of the form", checkoutForm)
	}
	if e.Checkout == nil || e.next.err != "" {
		return ""
	}
	form := hiddenFields(e.next, e.Checkout)
	maps.Copy(form, e.Form)
	result := e.customer.visit(ctx, request{
		method: http.MethodPost, url: e.Checkout, form: form, stay: true, purpose: navigation(),
		from: e.next.last().url, policy: referrerPolicy(e.next.last().header, e.next.page),
	})
	if result.err != "" {
		e.note(pageStatus, true, place(e.Checkout)+": "+result.err)
		e.skip(result.err, checkoutForm)
		return ""
	}
	h := result.last()
	e.noteStatus(h)
	e.note(checkoutForm, len(h.sent) == 0, place(h.url))
	e.judgeKept(result)
	return ""
}

// hiddenFields returns the hidden fields, such as a CSRF token, of the form of a
// page that posts to u.
func hiddenFields(v visit, u *url.URL) url.Values {
	fields := url.Values{}
	for _, f := range v.page.forms {
		if target := resolve(v.last().url, f.action); target.String() != u.String() {
			continue
		}
		for _, pair := range f.hidden {
			fields.Add(pair[0], pair[1])
		}
		break
	}
	return fields
}
