// One time axis for everything on the page: the horizon, the moment under the pointer, and the lines that show them.

import { h } from "./dom.js";
import { clock, day, timeTicks } from "./format.js";

/** The shared state: horizon in ms, `now` in ms, and the moment under the pointer (null when there is none). */
export const axis = { start: 0, end: 1, now: null, cursor: null };
const listeners = new Set();

/** Be told when the pointer's moment changes; returns how to stop. */
export function onCursor(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The pointer stands at `t` (ms, or null); `from` is not told again. */
export function setCursor(t, from = null) {
  axis.cursor = t;
  for (const listener of listeners) if (listener !== from) listener(t);
  placeLines();
}

export const ratio = (t) => (t - axis.start) / (axis.end - axis.start);
export const percent = (t) => `${(Math.min(1, Math.max(0, ratio(t))) * 100).toFixed(3)}%`;
export const inside = (t) => t !== null && t >= axis.start && t <= axis.end;

/** Lines for `now` and the pointer over a plot area; `placeLines` keeps them where they belong. */
export function addLines(host, { label = false } = {}) {
  host.append(
    h("div", { class: "line-cursor", hidden: true, "aria-hidden": "true" }, label ? h("span", { class: "line-label" }) : null),
    h("div", { class: "line-now", hidden: true, "aria-hidden": "true" }, label ? h("span", { class: "line-label" }, "now") : null),
  );
}

/** Move every line of the page to its moment. */
export function placeLines() {
  for (const [name, t] of [["line-now", axis.now], ["line-cursor", axis.cursor]]) {
    for (const line of document.getElementsByClassName(name)) {
      line.hidden = !inside(t);
      if (line.hidden) continue;
      line.style.left = percent(t);
      line.classList.toggle("near-end", ratio(t) > 0.9);
      if (name === "line-cursor" && line.firstChild) line.firstChild.textContent = `${day(t)} ${clock(t)}`;
    }
  }
}

/** Tick labels as HTML, for the rows that uPlot does not draw. */
export function tickLabels(width_px) {
  return timeTicks(axis.start, axis.end, width_px)
    .filter((tick) => ratio(tick.t) < 0.985 && !(inside(axis.now) && Math.abs(ratio(tick.t) - ratio(axis.now)) * width_px < 34))
    .map((tick) =>
      h("span", { class: tick.midnight ? "tick midnight" : "tick", style: { left: percent(tick.t) } }, tick.label),
    );
}

/** Vertical grid lines as HTML, behind rows. */
export function gridLines(width_px) {
  return timeTicks(axis.start, axis.end, width_px).map((tick) =>
    h("i", { class: tick.midnight ? "grid midnight" : "grid", style: { left: percent(tick.t) } }),
  );
}
