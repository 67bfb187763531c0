package doctor

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// page is what a browser reads in the HTML of a page.
type page struct {
	refresh  string // target of <meta http-equiv="refresh">
	referrer string // content of <meta name="referrer">
	forms    []form
}

// form is a form that posts, with its hidden fields.
type form struct {
	action string
	hidden [][2]string
}

// maxForms limits the forms and the hidden fields of a form.
const maxForms = 100

func parsePage(body string) (p page) {
	open := false   // inside of a form that posts
	hidden := false // inside of <noscript>
	for z := html.NewTokenizer(strings.NewReader(body)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return p
		case html.EndTagToken:
			switch name, _ := z.TagName(); atom.Lookup(name) {
			case atom.Form:
				open = false
			case atom.Noscript:
				hidden = false
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if hidden {
				continue
			}
			switch t.DataAtom {
			case atom.Noscript:
				hidden = true
			case atom.Meta:
				p.meta(t)
			case atom.Form:
				if open = strings.EqualFold(attribute(t, "method"), "post") && len(p.forms) < maxForms; open {
					p.forms = append(p.forms, form{action: attribute(t, "action")})
				}
			case atom.Input:
				if open && strings.EqualFold(attribute(t, "type"), "hidden") {
					f := &p.forms[len(p.forms)-1]
					if len(f.hidden) < maxForms {
						f.hidden = append(f.hidden, [2]string{attribute(t, "name"), attribute(t, "value")})
					}
				}
			}
		}
	}
}

func (p *page) meta(t html.Token) {
	content := attribute(t, "content")
	if strings.EqualFold(attribute(t, "http-equiv"), "refresh") && p.refresh == "" {
		p.refresh = refreshTarget(content)
	}
	if strings.EqualFold(attribute(t, "name"), "referrer") {
		p.referrer = content
	}
}

func attribute(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// refreshTarget returns the URL of a Refresh field that leads to another page
// at once, such as "0; url=/en", or "".
func refreshTarget(content string) string {
	delay, target, ok := strings.Cut(content, ";")
	if !ok || strings.Trim(delay, " 0.") != "" {
		return ""
	}
	target = strings.TrimSpace(target)
	if len(target) < 4 || !strings.EqualFold(target[:4], "url=") {
		return ""
	}
	return strings.Trim(target[4:], `"' `)
}
