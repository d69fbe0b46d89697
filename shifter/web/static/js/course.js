// One signal of one zone: what is known now of past and future and what was said a while ago of the same hours; or a day
// that is over, what came of it and what had been said of it by when it began.

import * as api from "./api.js";
import { css, h, siteColour } from "./dom.js";
import { NO_ERROR, day, duration, figure, ms, num } from "./format.js";
import { lane, laneRow, niceRange } from "./lane.js";
import { KINDS, kindSample } from "./prices.js";
import { tableToggle } from "./table.js";
import { axis, placeLines } from "./timeaxis.js";

const HOUR = 36e5;
export const BACK_H = 48;
export const AHEAD_H = 48;
const EARLIER_H = [6, 24, 48];
const BEFORE_H = [0, 12, 24, 48];
const DAYS_BACK = 7;

/** The days in UTC that are over and can be looked back at, the newest first, as "2026-01-09". */
export function pastDays(now) {
  const today = Math.floor(now / (24 * HOUR));
  return Array.from({ length: DAYS_BACK }, (_, i) => new Date((today - 1 - i) * 24 * HOUR).toISOString().slice(0, 10));
}

export const dayName = (date) => day(Date.parse(date), "UTC");

/**
 * What is known now of past and future, and what was some hours ago: `{zone, signal, date, edges, current, earlier}`. Of
 * `date`, where one is given, what came of it instead, and what had been said so many hours before it began.
 */
export async function loadCourse(zone, signal, now, date = null) {
  const iso = (t) => new Date(t).toISOString();
  const midnight = date ? Date.parse(date) : null;
  const [start, end] = date ? [midnight, midnight + 24 * HOUR] : [now - BACK_H * HOUR, now + AHEAD_H * HOUR];
  const said = date
    ? BEFORE_H.map((hours) => ({ hours, name: hours ? `${duration(hours * 3600)} before` : "as it began", from: start, at: start - hours * HOUR }))
    : EARLIER_H.map((hours) => ({ hours, name: `${duration(hours * 3600)} ago`, from: now - hours * HOUR, at: now - hours * HOUR }));
  const [current, ...then] = await Promise.all([
    api.forecast(zone, signal, iso(start), iso(end)),
    ...said.map(({ from, at }) => api.forecast(zone, signal, iso(from), iso(end), iso(at))),
  ]);
  if (!current) return null;
  const origin = ms(current.grid.start);
  const step = current.grid.slot_minutes * 6e4;
  const edges = Array.from({ length: current.grid.n_slots + 1 }, (_, i) => origin + i * step);
  return {
    zone,
    signal,
    date,
    edges,
    unit: current.unit,
    basis: current.basis,
    current: date ? whatCame(onEdges(current, edges), edges) : onEdges(current, edges),
    earlier: then.map((one, k) => ({ ...said[k], ...onEdges(one, edges) })).filter((one) => one.values.some(Number.isFinite)),
  };
}

/**
 * Without what was last forecast and never said again: a forecast is not its own outcome. Nor is what a hole was filled
 * with, however late: nobody said that.
 */
function whatCame({ values, runs, kinds }, edges) {
  const facts = ["actual", "cleared"];
  const nobodys = ["model", "missing"];
  const over = (run, end) => run && (facts.includes(run.kind) || (!nobodys.includes(run.kind) && run.known_at && ms(run.known_at) >= end));
  return { values: values.map((value, i) => (over(runs[i], edges[i + 1]) ? value : null)), runs, kinds };
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
  const { current, date, edges, signal } = course;
  const earlier = course.earlier.filter((one) => differs(one, current));
  const all = [current, ...earlier].flatMap((one) => one.values).filter(Number.isFinite);
  const kinds = new Set([current, ...earlier].flatMap((one) => one.kinds.filter((_, i) => Number.isFinite(one.values[i]))));
  host.replaceChildren(
    h("div", { class: "block-head" },
      h("h2", {}, date ? `${course.zone}: what was forecast of ${dayName(date)}, and what came` : `${course.zone}: what was forecast, and what came`),
      h("ul", { class: "kinds" }, Object.keys(KINDS).filter((k) => kinds.has(k) && k !== "missing").map((kind) =>
        h("li", { class: kind === "synthetic" ? "synthetic-word" : null }, kindSample(kind), KINDS[kind].text))),
      h("span", { class: "spacer" }),
      all.length ? tableToggle(() => courseTable(course), "course") : null,
    ),
  );
  Object.assign(axis, { start: edges[0], end: edges.at(-1), now: date ? null : now });
  if (all.length === 0) {
    host.append(h("p", { class: "empty" }, "Nobody says anything of these hours, or what they say may not be shown."));
    return;
  }
  const lines = [{ ...current, name: date ? "what came" : "known now", colour: () => css("--ink"), strong: true, off: null },
    ...earlier.map((one, k) => ({ ...one, colour: () => siteColour(k), strong: false, off: date ? meanOff(one, current) : null }))];
  const rows = lines.map(() => ({ value: h("b", {}, "–"), note: h("i", {}, "") }));
  const unit = course.unit === "gCO2e/kWh" ? "g CO₂e/kWh" : course.unit;
  const title = signal === "price" ? "Price" : "Carbon";
  const { row, plot } = laneRow([
    h("h3", {}, title, " ", h("small", {}, unit, course.basis ? `, ${course.basis}` : "")),
    h("ul", { class: "readout" }, lines.map((one, k) =>
      h("li", {}, h("span", { class: "swatch", style: { background: one.colour() } }), h("span", { class: "name" }, one.name), rows[k].note, rows[k].value))),
  ]);
  host.append(row);
  const range = niceRange(all);
  lane(plot, {
    edges,
    range,
    height: 240,
    digits: range[1] - range[0] < 5 ? 1 : 0,
    label: `${title} of ${course.zone} from ${num(Math.min(...all))} to ${num(Math.max(...all))} ${unit}: ${lines.map((one) => one.name).join(", ")}.`,
    draw(p) {
      if (kinds.has("synthetic")) p.watermark("SYNTHETIC");
      if (range[0] < 0) p.layer(edges.slice(1).map(() => range[0]), edges.slice(1).map(() => 0), css("--negative"));
      for (const one of [...lines].reverse()) {
        p.steps(one.values, one.colour(), (i) => styled(one.kinds[i], one.strong));
      }
    },
    read(i) {
      lines.forEach((one, k) => {
        const { value, note } = rows[k];
        const kind = i < 0 || one.values[i] === null ? "" : one.kinds[i];
        value.textContent = i >= 0 ? figure(one.values[i]) : one.off === null ? "–" : figure(one.off);
        note.textContent = kind ? `${one.runs[i].source} ${kind}` : i < 0 && one.off !== null ? "mean error" : "";
        note.className = `kind-${kind}`;
      });
    },
  });
  const remark = remarkOn(course, earlier);
  if (remark) host.append(h("p", { class: "small" }, remark));
  placeLines();
}

/** Whether something was said otherwise than it is known now; a line that lies on another shows nothing. */
const differs = (one, current) => one.values.some((value, i) =>
  Number.isFinite(value) && (!Number.isFinite(current.values[i]) || Math.abs(value - current.values[i]) > NO_ERROR));

/** Mean absolute difference from what came; null where nothing did. */
function meanOff(one, came) {
  const off = one.values.map((value, i) => Math.abs(value - came.values[i])).filter((_, i) => Number.isFinite(one.values[i]) && Number.isFinite(came.values[i]));
  return off.length ? off.reduce((a, b) => a + b, 0) / off.length : null;
}

/** A sentence on what is not drawn, and why. */
function remarkOn({ current, date, earlier }, drawn) {
  const same = earlier.filter((one) => !drawn.includes(one)).map((one) => one.name);
  return [
    date && !current.values.some(Number.isFinite) ? "What came is not shown: the sources that plans use did not say it again once the day was over." : "",
    earlier.length === 0 ? (date ? "Nothing had been said of this day before it began." : `Nothing was said of these hours ${EARLIER_H[0]} to ${EARLIER_H.at(-1)} hours ago.`) : "",
    same.length ? `Not drawn, since it is the same to the last digit: what was said ${same.join(", ")}.` : "",
  ].filter(Boolean).join(" ");
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

function courseTable({ current, date, earlier, edges, unit }) {
  const lines = [[date ? "what came" : "known now", current], ...earlier.map((one) => [one.name, one])];
  const columns = ["start", ...lines.flatMap(([name]) => [`${name} [${unit}]`, `${name} source`, `${name} kind`])];
  const rows = edges.slice(0, -1).map((t, i) => [t, ...lines.flatMap(([, one]) => [one.values[i], one.runs[i]?.source ?? null, one.kinds[i]])]);
  return { name: "forecasts", columns, rows };
}
