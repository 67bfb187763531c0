import { byId, call, element, setText } from "./dom.js";
import { Detail } from "./detail.js";
import { Faults } from "./faults.js";
import { List } from "./list.js";
import { Plot } from "./plot.js";

const filters = byId("filters");
const detail = new Detail((number) => open(number));
const list = new List((number) => open(number), query);
const faults = new Faults();
const plot = new Plot();
let source; // of server-sent events
let reconnecting;

// query returns the filter as parameters of the API.
function query() {
  const parameters = new URLSearchParams({ kind: "all" });
  for (const [name, value] of new FormData(filters)) {
    if (value) parameters.set(name, value);
  }
  return parameters;
}

// connect opens a stream with the current filter.
function connect() {
  clearTimeout(reconnecting);
  source?.close();
  source = new EventSource("/api/v1/stream?" + query());
  source.onopen = () => connection("live");
  source.onerror = () => {
    connection("reconnecting");
    // Browsers do not try again after an error of a proxy.
    if (source.readyState === EventSource.CLOSED) reconnecting = setTimeout(connect, 1000);
  };
  source.addEventListener("snapshot", (message) => {
    const { events, total, links, run } = JSON.parse(message.data);
    list.reset(events, total, run);
    plot.reset();
    showLinks(links);
    showTypes(events);
  });
  source.addEventListener("arrivals", (message) => {
    const { events, total } = JSON.parse(message.data);
    list.arrive(events, total);
    showTypes(events);
    if (events.some((event) => list.isSame(event, detail.number))) detail.update();
    const latest = events.at(-1);
    setText(byId("announcement"), `${latest.type || latest.path} ${latest.id || ""} ${latest.verdict}`);
  });
  source.addEventListener("state", (message) => {
    const state = JSON.parse(message.data);
    const { accepted, duplicate, refused, not_processed: notProcessed, requests, dropped } = state.counts;
    setText(byId("count-accepted"), accepted.toLocaleString("en"));
    setText(byId("count-duplicate"), duplicate.toLocaleString("en"));
    setText(byId("count-rejected"), (refused + notProcessed).toLocaleString("en"));
    list.summarise(accepted + duplicate + refused + notProcessed + requests, dropped);
    faults.show(state.faults);
    plot.add(state.timeline);
  });
}

function connection(state) {
  byId("connection").className = state;
  setText(byId("connection"), state);
}

function showLinks(links) {
  byId("links").replaceChildren(...links.map((link) => element("a", { href: link.url }, link.text)));
}

// showTypes offers the types that have arrived.
function showTypes(events) {
  const select = filters.elements.type;
  const known = new Set(Array.from(select.options, (option) => option.value));
  for (const { type } of events) {
    if (!type || known.has(type)) continue;
    known.add(type);
    select.append(element("option", { value: type }, type));
  }
}

async function open(number) {
  list.select(number);
  await detail.show(number);
}

let typing;
filters.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(connect, 150);
});
filters.addEventListener("submit", (event) => event.preventDefault());
byId("clear").addEventListener("click", async () => {
  await call("DELETE", "events");
  detail.hide();
});
byId("detail").addEventListener("close", () => {
  list.focusSelected();
  list.select(undefined);
});
document.addEventListener("keydown", (event) => {
  const inField = event.target.matches("input, select, textarea");
  if (event.key === "Escape") detail.hide();
  if (event.key === "/" && !inField) {
    event.preventDefault();
    filters.elements.text.focus();
  }
});

// The empty page shows how to send a first event.
const variables = `export CLICKID_BASE_URL=${location.origin}
export CLICKID_API_KEY=scope3_local`;
const firstEvent = JSON.stringify({
  data_set_id: "ds_1", event_type: "purchase", timestamp: Math.floor(Date.now() / 1000), id: "order-1", value: 149.99, currency: "USD",
});
byId("variables").textContent = variables;
byId("first-event").textContent = `curl ${location.origin}/agentic/v1/events \\
  -H 'Authorization: Bearer scope3_local' -H 'Content-Type: application/json' \\
  -d '${firstEvent}'`;

connect();
