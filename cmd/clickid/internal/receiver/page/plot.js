import { byId, setText, shape } from "./dom.js";

// The periods of the plot: how many minutes a bar has, and how many bars.
const periods = {
  hour: { minutes: 1, bars: 60, title: "Events in the last hour", from: "60 minutes ago" },
  day: { minutes: 20, bars: 72, title: "Events in the last day", from: "24 hours ago" },
};

const height = 100;

// Plot draws the events over time as stacked bars.
export class Plot {
  #minutes = new Map(); // by their start in Unix seconds
  #period = "hour";
  #svg = byId("plot");

  constructor() {
    for (const button of document.querySelectorAll("[data-period]")) {
      button.addEventListener("click", () => {
        this.#period = button.dataset.period;
        for (const other of document.querySelectorAll("[data-period]")) {
          other.setAttribute("aria-pressed", String(other === button));
        }
        this.#draw();
      });
    }
    setInterval(() => this.#draw(), 30_000); // time passes without events too
  }

  reset() {
    this.#minutes.clear();
    this.#draw();
  }

  add(minutes) {
    for (const minute of minutes) this.#minutes.set(minute.at, minute);
    this.#draw();
  }

  #draw() {
    const { minutes, bars, title, from } = periods[this.#period];
    const seconds = minutes * 60;
    const end = Math.floor(Date.now() / 1000 / seconds) + 1;
    const sums = Array.from({ length: bars }, () => ({ accepted: 0, rejected: 0, duplicate: 0 }));
    const total = { accepted: 0, rejected: 0, duplicate: 0 };
    for (const minute of this.#minutes.values()) {
      const index = bars - (end - Math.floor(minute.at / seconds));
      if (index < 0 || index >= bars) continue;
      for (const name of Object.keys(total)) {
        sums[index][name] += minute[name];
        total[name] += minute[name];
      }
    }
    const highest = Math.max(...sums.map((sum) => sum.accepted + sum.rejected + sum.duplicate));
    this.#svg.setAttribute("viewBox", `0 0 ${bars} ${height}`);
    const shapes = [];
    sums.forEach((sum, index) => {
      let y = height;
      for (const name of ["accepted", "rejected", "duplicate"]) {
        if (!sum[name]) continue;
        const part = (sum[name] / highest) * height;
        y -= part;
        shapes.push(shape("rect", { x: index + 0.1, y, width: 0.8, height: part, class: name }));
      }
    });
    this.#svg.replaceChildren(this.#svg.firstElementChild, ...shapes);
    setText(byId("plot-title"), title);
    setText(byId("plot-from"), from);
    setText(byId("plot-top"), highest ? `at most ${highest.toLocaleString("en")} in ${minutes === 1 ? "a minute" : `${minutes} minutes`}` : "");
    setText(byId("plot-text"), `${total.accepted} accepted, ${total.rejected} rejected, ${total.duplicate} duplicate`);
  }
}
