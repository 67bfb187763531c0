import { byId, call, element, setText } from "./dom.js";

// Faults injects faults and shows those that wait for a request.
export class Faults {
  #form = byId("fault-form");
  #kinds = new Map();
  #faults = [];

  constructor() {
    const toggle = byId("faults-toggle");
    toggle.addEventListener("click", () => {
      byId("faults").hidden = !byId("faults").hidden;
      toggle.setAttribute("aria-expanded", String(!byId("faults").hidden));
      if (!byId("faults").hidden) this.#form.elements.fault.focus();
    });
    byId("faults-clear").addEventListener("click", () => call("DELETE", "faults"));
    this.#form.addEventListener("change", () => this.#adapt());
    this.#form.elements.fault.addEventListener("change", () => this.#propose());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#inject();
    });
    this.#load();
  }

  async #load() {
    const { kinds } = await call("GET", "faults");
    for (const kind of kinds) {
      this.#kinds.set(kind.fault, kind);
      this.#form.elements.fault.append(element("option", { value: kind.fault }, kind.text));
    }
    this.#propose();
    this.#adapt();
    this.#render();
  }

  #propose() {
    const { default: seconds } = this.#kinds.get(this.#form.elements.fault.value);
    this.#form.elements.parameter.value = seconds ?? "";
  }

  // adapt shows the fields of the chosen fault.
  #adapt() {
    const { fault, times, always } = this.#form.elements;
    const { parameter } = this.#kinds.get(fault.value);
    times.disabled = always.checked;
    byId("fault-parameter").hidden = !parameter;
    setText(byId("fault-parameter").firstElementChild, { retry_after: "Retry-After, seconds", delay: "Delay, seconds" }[parameter] ?? "");
  }

  async #inject() {
    const { fault, times, always, parameter } = this.#form.elements;
    const request = { fault: fault.value };
    if (always.checked) request.always = true;
    else request.times = times.valueAsNumber;
    const name = this.#kinds.get(fault.value).parameter;
    if (name && parameter.value !== "") request[name] = parameter.valueAsNumber;
    try {
      await call("POST", "faults", request);
      setText(byId("fault-error"), "");
    } catch (error) {
      setText(byId("fault-error"), error.message);
    }
  }

  // show shows the faults that wait.
  show(faults) {
    if (JSON.stringify(faults) === JSON.stringify(this.#faults)) return;
    this.#faults = faults;
    this.#render();
  }

  #render() {
    const none = this.#faults.length === 0;
    byId("faults-waiting").hidden = none;
    setText(byId("faults-waiting"), String(this.#faults.length));
    byId("faults-clear").hidden = none;
    byId("fault-list").replaceChildren(...this.#faults.map((fault) => element("li", {}, this.#describe(fault))));
  }

  #describe({ fault, times, always, retry_after: retryAfter, delay }) {
    const what = this.#kinds.get(fault)?.text ?? fault;
    const when = always ? "every request" : `${times} ${times === 1 ? "request" : "requests"} left`;
    const how = retryAfter ? ` of ${retryAfter} s` : delay ? ` of ${delay} s` : "";
    return `${what}${how}: ${when}`;
  }
}
