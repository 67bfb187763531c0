import { byId, call, clock, dialectName, element, pill, setText } from "./dom.js";

// maxRows bounds the rows of the page. Older ones can be fetched again.
const maxRows = 500;

// List shows the events, the latest first. It changes rows in place, so that
// arrivals move neither the focus nor the selection.
export class List {
  #rows = new Map(); // by number
  #list = byId("events");
  #selected;
  #run;
  #total = 0; // that match the filter
  #open;
  #query;

  constructor(open, query) {
    this.#open = open;
    this.#query = query;
    this.#list.addEventListener("click", (event) => {
      const row = event.target.closest("button");
      if (row) open(Number(row.dataset.number));
    });
    this.#list.addEventListener("keydown", (event) => this.#move(event));
    byId("older").addEventListener("click", () => this.#showOlder());
  }

  // reset shows other events, which are oldest first. Another run of the receiver
  // uses numbers again.
  reset(events, total, run) {
    const numbers = new Set(events.map((event) => event.number));
    for (const [number, row] of this.#rows) {
      if (!numbers.has(number) || run !== this.#run) this.#remove(number, row);
    }
    this.#run = run;
    this.#total = total;
    this.#insert(events, false);
    this.select(this.#selected);
  }

  // arrive adds the latest events.
  arrive(events, total) {
    this.#total += total;
    this.#insert(events, true);
    for (const event of events) {
      for (const row of this.#rows.values()) {
        if (sameEvent(row.event, event)) row.count(event);
      }
    }
    const numbers = [...this.#rows.keys()].sort((a, b) => a - b);
    for (const number of numbers.slice(0, Math.max(0, numbers.length - maxRows))) {
      if (number !== this.#selected) this.#remove(number, this.#rows.get(number));
    }
    this.#update();
  }

  #insert(events, arrived) {
    for (const event of events) {
      if (this.#rows.has(event.number)) continue;
      const row = new Row(event, arrived);
      const next = [...this.#list.children].find((item) => Number(item.dataset.number) < event.number);
      this.#list.insertBefore(row.item, next ?? null);
      this.#rows.set(event.number, row);
    }
    this.#update();
  }

  #remove(number, row) {
    row.item.remove();
    this.#rows.delete(number);
  }

  async #showOlder() {
    const query = this.#query();
    query.set("before", Math.min(...this.#rows.keys()));
    const { events, total } = await call("GET", "events?" + query);
    this.#total = this.#rows.size + total; // others may have been dropped
    this.#insert(events, false);
  }

  // summarise shows how many events there are.
  summarise(received, dropped) {
    byId("empty").hidden = received > 0;
    this.received = received;
    this.dropped = dropped;
    this.#update();
  }

  #update() {
    const shown = this.#rows.size;
    byId("older").hidden = shown === 0 || shown >= this.#total;
    byId("no-match").hidden = shown > 0 || !this.received;
    const dropped = this.dropped ? `, ${this.dropped.toLocaleString("en")} older ones dropped` : "";
    setText(byId("summary"), shown ? `${shown.toLocaleString("en")} of ${this.received?.toLocaleString("en") ?? shown} shown, latest first${dropped}` : "");
  }

  select(number) {
    this.#selected = number;
    for (const [other, row] of this.#rows) row.select(other === number);
  }

  focusSelected() {
    this.#rows.get(this.#selected)?.button.focus();
  }

  // isSame reports whether an event is another arrival of the one in a row.
  isSame(event, number) {
    const row = this.#rows.get(number);
    return row !== undefined && sameEvent(row.event, event);
  }

  #move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step && event.target.closest("li")?.[step];
    if (next) {
      event.preventDefault();
      next.firstElementChild.focus();
    }
  }
}

// sameEvent reports whether two entries are arrivals of one event.
function sameEvent(a, b) {
  return a.id !== undefined && a.id === b.id && a.dialect === b.dialect && a.destination === b.destination &&
    a.test_code === b.test_code && (a.dialect !== "log_event" || a.type === b.type);
}

// Row is an event of the list.
class Row {
  constructor(event, arrived) {
    this.event = event;
    this.attempts = element("span", { class: "attempts" });
    this.button = element("button", { type: "button", "data-number": event.number },
      element("time", { datetime: event.at, title: event.at }, clock(event.at)),
      pill(event.verdict),
      element("span", { class: "dialect" }, dialectName(event.dialect)),
      element("span", { class: "what" },
        element("b", {}, event.type || event.method || ""),
        " ",
        element("span", { class: "id" }, event.id || (event.kind === "request" ? event.path : "")),
      ),
      element("span", { class: "value" }, event.value ? `${event.value} ${event.currency ?? ""}` : ""),
      element("span", { class: "note" }, note(event)),
      this.attempts,
    );
    this.item = element("li", { "data-number": event.number, class: arrived ? "arrived" : undefined }, this.button);
    this.count(event);
  }

  // count shows how often the event has arrived so far.
  count({ duplicates }) {
    const parts = [];
    if (this.event.attempt > 1) parts.push(`attempt ${this.event.attempt}`);
    if (this.event.verdict === "accepted" && duplicates) parts.push(`${duplicates} ${duplicates === 1 ? "duplicate" : "duplicates"}`);
    setText(this.attempts, parts.join(", "));
  }

  select(selected) {
    if (selected) this.button.setAttribute("aria-current", "true");
    else this.button.removeAttribute("aria-current");
  }
}

// note returns the most important detail of an event.
function note(event) {
  if (event.fault) return `fault ${event.fault}`;
  if (event.verdict === "refused" && event.problems?.length) {
    const { field, message } = event.problems[0];
    return `${field ?? ""} ${message}`;
  }
  if (event.code) return `${event.status} ${event.code}`;
  if (event.status === 0) return "no response";
  if (event.warnings?.length) return `warning: ${event.warnings[0]}`;
  if (event.kind === "request") return `${event.status}`;
  return event.click_id ? `click ${event.click_id}` : "no click";
}
