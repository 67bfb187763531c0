// Everything that the page shows is created here, as elements and text. Events
// are hostile until proven otherwise, so nothing is parsed as HTML.

export const byId = (id) => document.getElementById(id);

// element returns an element with attributes and children. Strings become text.
export function element(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.filter((child) => child !== undefined && child !== ""));
  return e;
}

// shape returns an element of SVG.
export function shape(name, attributes) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}

// setText changes a text only if it differs, so that a screen reader does not
// read it again.
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// pill shows a verdict in its colour.
export function pill(verdict) {
  return element("span", { class: "pill " + verdict.replace(" ", "-") }, verdict);
}

// dialectName returns the dialect as the documentation writes it.
export const dialectName = (dialect) => (dialect === "ecapi" ? "ECAPI" : dialect ?? "");

const two = (n) => String(n).padStart(2, "0");

// clock returns the local time of day.
export function clock(time) {
  const at = new Date(time);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

// call calls the API and returns its result, or throws its error.
export async function call(method, path, body) {
  const response = await fetch("/api/v1/" + path, { method, body: body && JSON.stringify(body) });
  const result = await response.json();
  if (!response.ok) throw new Error(result.error);
  return result;
}
