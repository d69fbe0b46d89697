// One signal of one zone over past and future: what is believed now, and what was believed a while ago of the same hours.

import * as api from "./api.js";
import { css, h, siteColour } from "./dom.js";
import { duration, figure, ms, num } from "./format.js";
import { lane, laneRow, niceRange } from "./lane.js";
import { KINDS, kindSample } from "./prices.js";
import { tableToggle } from "./table.js";
import { axis, placeLines } from "./timeaxis.js";

const HOUR = 36e5;
export const BACK_H = 48;
export const AHEAD_H = 48;
const EARLIER_H = [6, 24, 48];

/** What is known now of past and future, and what was some hours ago: `{zone, signal, edges, current, earlier}`. */
export async function loadCourse(zone, signal, now) {
  const iso = (t) => new Date(t).toISOString();
  const [start, end] = [now - BACK_H * HOUR, now + AHEAD_H * HOUR];
  const [current, ...then] = await Promise.all([
    api.forecast(zone, signal, iso(start), iso(end)),
    ...EARLIER_H.map((hours) => api.forecast(zone, signal, iso(now - hours * HOUR), iso(end), iso(now - hours * HOUR))),
  ]);
  if (!current) return null;
  const origin = ms(current.grid.start);
  const step = current.grid.slot_minutes * 6e4;
  const edges = Array.from({ length: current.grid.n_slots + 1 }, (_, i) => origin + i * step);
  return {
    zone,
    signal,
    edges,
    unit: current.unit,
    basis: current.basis,
    current: onEdges(current, edges),
    earlier: then.map((one, k) => ({ hours: EARLIER_H[k], ...onEdges(one, edges) })).filter((one) => one.values.some(Number.isFinite)),
  };
}

/** Values and kinds of a frame on slots of another; null where it has none. */
function onEdges(one, edges) {
  const values = new Array(edges.length - 1).fill(null);
  const runs = new Array(edges.length - 1).fill(null);
  if (one) {
    const first = Math.round((ms(one.grid.start) - edges[0]) / (edges[1] - edges[0]));
    const spread = one.provenance.flatMap((run) => new Array(run.n_slots).fill(run));
    one.values.forEach((value, i) => {
      if (first + i < 0 || first + i >= values.length) return;
      values[first + i] = value;
      runs[first + i] = spread[i];
    });
  }
  return { values, runs, kinds: runs.map((run) => run?.kind ?? "missing") };
}

/** Draw it into `host`. */
export function drawCourse(host, course, now) {
  const kinds = [...new Set([course.current, ...course.earlier].flatMap((one) => one.kinds))];
  const synthetic = kinds.includes("synthetic");
  host.replaceChildren(
    h("div", { class: "block-head" },
      h("h2", {}, `${course.zone}: what was forecast, and what came`),
      h("ul", { class: "kinds" }, Object.keys(KINDS).filter((k) => kinds.includes(k) && k !== "missing").map((kind) =>
        h("li", { class: kind === "synthetic" ? "synthetic-word" : null }, kindSample(kind), KINDS[kind].text))),
      h("span", { class: "spacer" }),
      tableToggle(() => courseTable(course), "course"),
    ),
  );
  Object.assign(axis, { start: course.edges[0], end: course.edges.at(-1), now });
  const lines = [{ ...course.current, name: "known now", colour: () => css("--ink"), strong: true },
    ...course.earlier.map((one, k) => ({ ...one, name: `${duration(one.hours * 3600)} ago`, colour: () => siteColour(k), strong: false }))];
  const rows = lines.map(() => ({ value: h("b", {}, "–"), note: h("i", {}, "") }));
  const unit = course.unit === "gCO2e/kWh" ? "g CO₂e/kWh" : course.unit;
  const title = course.signal === "price" ? "Price" : "Carbon";
  const { row, plot } = laneRow([
    h("h3", {}, title, " ", h("small", {}, unit, course.basis ? `, ${course.basis}` : "")),
    h("ul", { class: "readout" }, lines.map((one, k) =>
      h("li", {}, h("span", { class: "swatch", style: { background: one.colour() } }), h("span", { class: "name" }, one.name), rows[k].note, rows[k].value))),
  ]);
  host.append(row);
  const all = lines.flatMap((one) => one.values).filter(Number.isFinite);
  if (all.length === 0) {
    plot.append(h("p", { class: "empty" }, "Nobody says anything of these hours, or what they say may not be shown."));
    return;
  }
  const range = niceRange(all);
  lane(plot, {
    edges: course.edges,
    range,
    height: 240,
    digits: range[1] - range[0] < 5 ? 1 : 0,
    label: `${title} of ${course.zone} from ${num(Math.min(...all))} to ${num(Math.max(...all))} ${unit}: as known now, and as it was forecast up to ${BACK_H} hours ago.`,
    draw(p) {
      if (synthetic) p.watermark("SYNTHETIC");
      if (range[0] < 0) p.layer(course.edges.slice(1).map(() => range[0]), course.edges.slice(1).map(() => 0), css("--negative"));
      for (const one of [...lines].reverse()) {
        p.steps(one.values, one.colour(), (i) => styled(one.kinds[i], one.strong));
      }
    },
    read(i) {
      lines.forEach((one, k) => {
        rows[k].value.textContent = i < 0 ? "–" : figure(one.values[i]);
        const kind = i < 0 || one.values[i] === null ? "" : one.kinds[i];
        rows[k].note.textContent = kind ? `${one.runs[i].source} ${kind}` : "";
        rows[k].note.className = `kind-${kind}`;
      });
    },
  });
  placeLines();
}

const STYLES = new Map();

/** The kind's own line, thinner for what was said before: one object a style, so that a line is drawn in one go. */
function styled(kind, strong) {
  const key = `${kind}|${strong}`;
  if (!STYLES.has(key)) {
    const { width, dash } = KINDS[kind] ?? KINDS.forecast;
    STYLES.set(key, { width: strong ? width + 0.6 : 1.3, dash });
  }
  return STYLES.get(key);
}

function courseTable({ current, earlier, edges, unit }) {
  const lines = [["known now", current], ...earlier.map((one) => [`${one.hours} h ago`, one])];
  const columns = ["start", ...lines.flatMap(([name]) => [`${name} [${unit}]`, `${name} source`, `${name} kind`])];
  const rows = edges.slice(0, -1).map((t, i) => [t, ...lines.flatMap(([, one]) => [one.values[i], one.runs[i]?.source ?? null, one.kinds[i]])]);
  return { name: "forecasts", columns, rows };
}
