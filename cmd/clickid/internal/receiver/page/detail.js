import { byId, call, dialectName, element, pill, setText } from "./dom.js";

// Detail shows one event with its request and its response.
export class Detail {
  #panel = byId("detail");
  #open;
  #attempt;
  #arrivals;
  number;

  constructor(open) {
    this.#open = open;
    this.#panel.addEventListener("close", () => this.#forget());
  }

  async show(number) {
    this.number = number;
    let content;
    try {
      content = this.#render(await call("GET", `events/${number}`));
    } catch (error) {
      content = [this.#heading("Event " + number), element("p", { class: "error" }, error.message)];
    }
    if (number !== this.number) return; // another event was opened in the meantime
    this.#panel.replaceChildren(...content);
    this.#panel.scrollTop = 0;
    if (!this.#panel.open) this.#appear();
    this.#panel.focus();
  }

  // update adds the arrivals since then. It leaves everything else as it is, so
  // that a selected text stays selected.
  async update() {
    const number = this.number;
    const { event, arrivals } = await call("GET", `events/${number}`);
    if (number !== this.number) return;
    setText(this.#attempt, attempts(event));
    const last = Number(this.#arrivals.lastElementChild.dataset.number);
    for (const arrival of arrivals) {
      if (arrival.number > last) this.#arrivals.append(this.#arrival(arrival, number));
    }
  }

  // appear opens the panel beside the list, or above everything on a phone.
  #appear() {
    document.body.classList.add("with-detail");
    if (matchMedia("(max-width: 60rem)").matches) this.#panel.showModal();
    else this.#panel.show();
  }

  // hide closes the panel, which sends the event close, as Escape on a phone does.
  hide() {
    this.#panel.close();
  }

  #forget() {
    this.number = undefined;
    this.#panel.replaceChildren();
    document.body.classList.remove("with-detail");
  }

  #heading(text, ...extra) {
    const close = element("button", { type: "button", class: "close", "aria-label": "Close" }, "✕");
    close.addEventListener("click", () => this.hide());
    return element("header", {}, element("h2", {}, text), ...extra, close);
  }

  #render({ event, raw, explanations, request, response, curl, arrivals }) {
    const name = event.kind === "event" ? `${event.type} ${event.id ?? ""}` : `${request.method} ${request.target}`;
    const content = [this.#heading(name, pill(event.verdict))];
    if (explanations.length) content.push(explain(explanations));
    content.push(this.#facts(event, arrivals));
    if (raw) content.push(section("Event", code(raw)));
    content.push(
      section("Request", line(`${request.method} ${request.target}`), headers(request.header, { Authorization: ["Bearer (not recorded)"] }), body(request), copy(curl)),
      section("Response", line(response.status ? `${response.status}` : "none: the connection was cut"), headers(response.header), body(response)),
    );
    return content;
  }

  #facts(event, arrivals) {
    const facts = element("dl", { class: "facts" });
    const add = (name, ...value) => {
      if (value.some((part) => part)) facts.append(element("dt", {}, name), element("dd", {}, ...value));
    };
    add("Received", new Date(event.at).toLocaleString());
    add("Dialect", dialectName(event.dialect));
    add("Destination", event.destination);
    add("Click", event.kind === "event" && (event.click_id ? `${event.click_id} ${event.click_id_type ? `(${event.click_id_type})` : ""}` : "none"));
    add("Value", event.value && `${event.value} ${event.currency ?? ""}`);
    add("Time", event.time && new Date(event.time).toLocaleString());
    add("Source", event.source);
    add("Test code", event.test_code);
    add("Fault", event.fault);
    this.#attempt = element("span", {}, attempts(event));
    this.#arrivals = element("span", {}, ...arrivals.map((arrival) => this.#arrival(arrival, event.number)));
    if (event.id) {
      add("Attempt", this.#attempt);
      add("Arrivals", this.#arrivals);
    }
    return facts;
  }

  #arrival({ number, verdict, status }, current) {
    const text = `#${number} ${verdict}${status ? ` ${status}` : ""}`;
    if (number === current) return element("span", { class: "arrival", "data-number": number }, text);
    const link = element("button", { type: "button", class: "arrival link", "data-number": number }, text);
    link.addEventListener("click", () => this.#open(number));
    return link;
  }
}

function attempts({ attempt, attempts, duplicates }) {
  return `${attempt} of ${attempts}` + (duplicates ? `, ${duplicates} ${duplicates === 1 ? "duplicate" : "duplicates"}` : "");
}

function section(title, ...children) {
  return element("section", {}, element("h3", {}, title), ...children);
}

function explain(explanations) {
  return element("ul", { class: "explanations" }, ...explanations.map(({ field, message, why }) =>
    element("li", {}, element("strong", {}, field ? element("code", {}, field) : "", field ? " " : "", message), why ? element("p", {}, why) : "")));
}

// Scrollable areas can be reached and scrolled with the keyboard.
function code(text) {
  return element("pre", { tabindex: "0" }, text);
}

function line(text) {
  return element("p", { class: "line" }, element("code", {}, text));
}

function headers(header, more = {}) {
  const list = element("dl", { class: "headers" });
  for (const [name, values] of Object.entries({ ...header, ...more }).sort()) {
    for (const value of values) list.append(element("dt", {}, name), element("dd", {}, value));
  }
  return list;
}

function body({ body, bytes, shortened }) {
  if (!bytes) return element("p", { class: "muted" }, "No body.");
  const size = `${bytes.toLocaleString("en")} bytes${shortened ? ", of which the beginning is shown" : ""}`;
  return element("div", {}, code(body), element("p", { class: "muted" }, size));
}

// copy offers the request as a command for curl.
function copy(command) {
  const done = element("span", { role: "status", class: "muted" });
  const button = element("button", { type: "button", class: "copy" }, "Copy as curl");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command);
      done.textContent = "Copied. The API key is read from CLICKID_API_KEY.";
    } catch {
      // Browsers refuse this on plain HTTP, except on loopback.
      const text = code(command);
      done.replaceWith(text);
      getSelection().selectAllChildren(text);
    }
  });
  return element("p", { class: "copying" }, button, " ", done);
}
