// One workload's page: what was decided, why, when it runs, what it costs against running at once, its lease.

import * as api from "./api.js";
import { $, h, replace, s } from "./dom.js";
import { carbon, figure, money, moment, ms, percent, plural, span, work } from "./format.js";
import { drawHeader } from "./header.js";
import { createLive } from "./live.js";
import { track } from "./gantt.js";
import { lane, laneRow, niceRange, redrawLanes } from "./lane.js";
import { limitWords } from "./lists.js";
import { ganttRows, siteList, slotEdges, stretches, zoneSeriesOfPlan } from "./model.js";
import { KINDS, kindSample, zoneColours } from "./prices.js";
import { addLines, axis, placeLines, tickLabels } from "./timeaxis.js";
import { siteColour } from "./dom.js";
import { against, dueWords, inTrouble, stateWord, whenWhere } from "./words.js";

const host = $("workload");
const { id } = host.dataset;
let last = { data: null, status: null };

const orNull = (promise) => promise.catch((error) => {
  if (error instanceof api.Problem) return null;
  throw error;
});

async function load() {
  const view = await api.workload(id).catch((error) => {
    if (error instanceof api.Problem && error.status === 404) return null;
    throw error;
  });
  if (!view) return { missing: true };
  const [plan, explanation, lease, admission] = await Promise.all(
    [api.plan(), api.explanation(id), api.lease(id), api.admission(id)].map(orNull),
  );
  return { view, plan, explanation, lease, admission };
}

function show(data, status, { light = false } = {}) {
  last = { data, status };
  document.body.dataset.connected = String(status.connected);
  drawHeader({ status, plan: data?.plan ?? null, now: live.now, redraw: () => show(data, status) });
  if (!data || light) return;
  host.removeAttribute("aria-busy");
  if (data.missing) {
    replace(host, h("h1", {}, "No such workload"), h("p", {}, `The daemon knows no workload named “${id}”. It may have been submitted to another one, or its record may have expired.`));
  } else draw(data);
  document.body.dataset.ready = "true";
}

function draw({ view, plan, explanation, lease, admission }) {
  const [row] = ganttRows(plan, [view]);
  const currency = plan?.currency ?? explanation?.currency ?? "";
  host.className = "detail";
  replace(host,
    headline(row),
    h("section", { class: "panel wide", id: "when" }),
    h("section", { class: "panel" }, h("h2", {}, "Why this class"), whyClass(view, explanation)),
    h("section", { class: "panel" }, h("h2", {}, "Why these slots"), whySlots(row, explanation)),
    h("section", { class: "panel" }, h("h2", {}, "Against running at once"), comparison(row, currency, explanation, explanation?.synthetic ?? plan?.synthetic)),
    h("section", { class: "panel" }, h("h2", {}, "Progress"), progress(view)),
    h("section", { class: "panel" }, h("h2", {}, "Lease and admission"), leaseFacts(lease, admission)),
    h("section", { class: "panel" }, h("h2", {}, "As submitted"), submitted(view)),
  );
  if (plan) drawWhen($("when"), { plan, row, sites: siteList(plan, api.fleet), explanation });
  else $("when").remove();
}

function headline(row) {
  const { view } = row;
  return h("header", { class: "panel wide" },
    h("h1", {}, view.id, h("span", { class: `tag${inTrouble(row) ? " bad" : ""}` }, inTrouble(row) && row.view.state !== "late" ? "won’t fit" : stateWord(view.state)),
      h("span", { class: "tag" }, view.class === "real_time" ? "real-time" : "deferrable")),
    h("p", { class: "lede" }, whenWhere(row), " ", row.due === null ? null : `${dueWords(row)[0].toUpperCase()}${dueWords(row).slice(1)}.`),
    view.note && view.note !== whenWhere(row) ? h("p", { class: "small" }, view.note) : null,
    row.unplaced ? h("p", { class: "bad" }, `${figure(row.unplaced.accelerator_hours)} accelerator-hours do not fit in time: ${row.unplaced.reason} `,
      row.unplaced.earliest_feasible_deadline ? `A deadline of ${moment(ms(row.unplaced.earliest_feasible_deadline))} would work.` : "No deadline within the horizon would work.") : null,
    limitWords(row.unplaced),
  );
}

/** The price where it may run, above its own row on the same axis. */
function drawWhen(block, { plan, row, sites, explanation }) {
  const edges = slotEdges(plan);
  Object.assign(axis, { start: edges[0], end: edges[edges.length - 1], now: live.now() });
  const wanted = row.sites.length ? sites.filter((site) => row.sites.includes(site.name)) : sites;
  const series = zoneSeriesOfPlan(plan, wanted, "price", edges);
  const colours = zoneColours(series.map((one) => one.zone), sites);
  const synthetic = explanation?.synthetic ?? plan.synthetic;
  const { row: top, plot } = laneRow([
    h("h3", {}, "Price ", h("small", {}, `${plan.currency}/MWh, where it runs`)),
    h("ul", { class: "readout" }, series.map((one) => h("li", {},
      h("span", { class: "swatch", style: { background: siteColour(colours.get(one.zone)) } }), h("span", { class: "name" }, one.zone),
      h("b", { data: { zone: one.zone } }, "–")))),
    synthetic ? h("p", { class: "synthetic-word small" }, kindSample("synthetic"), " SYNTHETIC") : null,
  ]);
  block.replaceChildren(h("div", { class: "block-head" }, h("h2", {}, "When"), h("span", { class: "spacer" }),
    h("small", {}, "pale: its window; upright bar: its deadline")), top);
  const range = niceRange(series.flatMap((one) => one.values));
  lane(plot, {
    edges, range, ticks: false, height: 110, label: `Price where ${row.id} runs.`,
    draw(p) {
      if (synthetic) p.watermark("SYNTHETIC");
      for (const one of series) p.steps(one.values, siteColour(colours.get(one.zone)), (i) => KINDS[one.kinds[i]]);
    },
    read(i) {
      for (const one of series) top.querySelector(`[data-zone="${CSS.escape(one.zone)}"]`).textContent = i < 0 ? "–" : figure(one.values[i]);
    },
  });
  const lines = h("div", { class: "gantt-lines" });
  const axisLines = h("div", { class: "gantt-axis-lines" });
  addLines(lines);
  addLines(axisLines, { label: true });
  const ticks = h("div", { class: "gantt-ticks" });
  block.append(h("div", { class: "gantt" },
    h("div", { class: "gantt-axis" }, ticks, axisLines),
    h("div", { class: "gantt-body" }, h("ol", { class: "rows" }, h("li", { class: "row" }, h("span", { class: "row-link" }, `up to ${plural(row.peak, "accelerator")}`), track(row, sites, 56))), lines)));
  new ResizeObserver(() => ticks.replaceChildren(...tickLabels(ticks.clientWidth || 600))).observe(ticks);
  if (row.blocks.length) {
    block.append(h("div", { class: "table-scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, ["from–to", "pool", "accelerators"].map((c) => h("th", {}, c)))),
      h("tbody", {}, stretches(row.pieces).map((p) => h("tr", {}, [span(p.from, p.to), where(p.places), p.accelerators].map((c) => h("td", {}, c))))))));
  }
  placeLines();
}

/** The pool; of several, how many on each. */
const where = (places) => (places.size === 1 ? [...places.keys()][0] : [...places].sort().map(([place, n]) => `${n} on ${place}`).join(", "));

const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter(([, v]) => v !== null && v !== undefined && v !== "").flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));

const ISO = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

/** A value of the evidence; what was looked at and did not decide is a list of its own. */
function evidence(value) {
  if (typeof value === "string" && ISO.test(value)) return moment(ms(value));
  if (value && typeof value === "object" && !Array.isArray(value)) {
    return h("ul", { class: "small" }, Object.entries(value).map(([k, v]) => h("li", {}, `${k}: ${plain(v)}`)));
  }
  return typeof value === "number" ? figure(value) : plain(value);
}

const plain = (value) => (typeof value === "boolean" ? (value ? "yes" : "no") : value === null ? "not given" : Array.isArray(value) ? value.join(", ") || "none" : typeof value === "object" ? JSON.stringify(value) : String(value));

function whyClass(view, explanation) {
  const reason = explanation?.reason ?? view.reason;
  const over = explanation?.override;
  return [
    h("p", {}, reason.text),
    facts([["rule", h("code", {}, reason.rule)], ...Object.entries(reason.evidence ?? {}).map(([k, v]) => [k.replaceAll("_", " "), evidence(v)])]),
    over ? h("p", { class: "warn" }, `Overridden by ${over.by} on ${moment(ms(over.at))}: ${over.reason}`) : null,
  ];
}

function whySlots(row, explanation) {
  const sentences = explanation?.why_slots?.length ? explanation.why_slots : [row.share?.reason ?? row.view.note].filter(Boolean);
  const means = (name, m) => (m ? [name, [m.price_per_mwh === null ? null : `${figure(m.price_per_mwh)} ${explanation.currency}/MWh`, m.carbon_g_per_kwh === null ? null : `${figure(m.carbon_g_per_kwh)} g CO₂e/kWh`].filter(Boolean).join(", ")] : [name, null]);
  return [
    h("ul", { class: "prose" }, sentences.map((text) => h("li", {}, text))),
    explanation ? facts([means("mean in its slots", explanation.in_slots), means("mean in its window", explanation.in_window)]) : null,
    explanation?.limits?.length ? [h("h3", {}, "Limits that bind"), h("ul", { class: "prose" }, explanation.limits.map((one) => h("li", {}, one.text)))] : null,
    explanation?.slack ? [h("h3", {}, "Its deadline"), h("p", {}, explanation.slack.text)] : null,
    explanation?.chain?.length ? [h("h3", {}, "Its chain"), h("ul", { class: "prose" }, explanation.chain.map((one) => h("li", {},
      one.relation === "depends_on" ? "after " : "before ", h("a", { href: `${api.root}/workloads/${encodeURIComponent(one.workload_id)}` }, one.workload_id),
      one.state ? ` (${stateWord(one.state)}${one.planned_finish ? `, finishes ${moment(ms(one.planned_finish))}` : ""})` : "")))] : null,
  ];
}

function comparison(row, currency, explanation, synthetic) {
  const { share } = row;
  if (!share) return h("p", { class: "empty" }, row.view.class === "real_time" ? "It runs at once: there is nothing to compare." : "Not in the current plan.");
  const line = (name, plan, now, difference) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, plan), h("td", {}, now), h("td", {}, difference));
  // Of nearly nothing, a percentage says nothing.
  const change = (a, b, least) => (b >= least ? `${a - b < 0 ? "−" : a - b > 0 ? "+" : ""}${percent(Math.abs((a - b) / b))}` : "–");
  return [
    h("p", {}, against(share.cost, share.run_now_cost, currency), synthetic ? h("span", { class: "synthetic-word" }, " by synthetic prices") : null),
    h("div", { class: "table-wide" }, h("table", {},
      h("thead", {}, h("tr", {}, ["", "as planned", "at once", "change"].map((c) => h("th", { scope: "col" }, c)))),
      h("tbody", {},
        line("cost", money(share.cost, currency), money(share.run_now_cost, currency), change(share.cost, share.run_now_cost, 0.01)),
        explanation?.run_now_demand_charge >= 0.01 ? line("demand charge, all else as planned", "", `+${money(explanation.run_now_demand_charge, currency)}`, "") : null,
        line("carbon", carbon(share.carbon_kg), carbon(share.run_now_carbon_kg), change(share.carbon_kg, share.run_now_carbon_kg, 0.05)),
        line("finish", moment(ms(share.finish)), moment(ms(share.run_now_finish)), ""),
        line("energy", `${figure(share.energy_kwh)} kWh`, "", ""),
      ))),
  ];
}

function progress(view) {
  const ratio = Math.max(0, Math.min(1, view.progress_ratio ?? 0));
  return [
    h("p", {}, `${percent(ratio)} of ${work(view.amount, view.unit)}`),
    h("div", { class: "progress", role: "progressbar", "aria-valuenow": Math.round(ratio * 100), "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": "Work done" }, h("i", { style: { width: `${ratio * 100}%` } })),
    h("p", { class: "small" }, view.progress_source === "reported" ? "As reported by whoever runs it." : "No report has come: what was planned counts as done."),
  ];
}

const ADMISSION = { run: "may run now", wait: "waits", stop: "has to stop", rejected: "is not let in" };

function leaseFacts(lease, admission) {
  return facts([
    ["now it", admission ? `${ADMISSION[admission.state] ?? admission.state}${admission.admit && admission.accelerators ? ` on ${plural(admission.accelerators, "accelerator")}` : ""}. ${admission.reason}` : null],
    ["not before", admission?.not_before ? moment(ms(admission.not_before)) : null],
    ["not after", admission?.not_after ? moment(ms(admission.not_after)) : null],
    ["lease version", lease ? String(lease.version) : null],
    ["valid until", lease ? h("span", { class: lease.stale ? "bad" : null }, `${moment(ms(lease.valid_until))}:${String(new Date(lease.valid_until).getUTCSeconds()).padStart(2, "0")}${lease.stale ? ", stale" : ", renewed while the daemon lives"}`) : null],
    ["latest start", lease?.latest_start ? `${moment(ms(lease.latest_start))}, should the daemon be gone` : null],
    ["from plan", lease?.plan_id ? h("code", {}, lease.plan_id) : null],
  ]);
}

function submitted(view) {
  const skip = new Set(["id"]);
  const empty = (v) => v === null || v === "" || (Array.isArray(v) && v.length === 0) || (typeof v === "object" && !Array.isArray(v) && Object.keys(v).length === 0);
  const shown = Object.entries(view.workload ?? {}).filter(([k, v]) => !skip.has(k) && !empty(v));
  const write = (k, v) => (["earliest_start", "deadline"].includes(k) ? moment(ms(v)) : k === "tokens" ? figure(v / 1e6) + " M" : plain(v));
  return [facts([["submitted", moment(ms(view.submitted_at))], ...shown.map(([k, v]) => [k.replaceAll("_", " "), write(k, v)])]),
    h("p", { class: "small" }, h("a", { href: `${api.root}/v1/workloads/${encodeURIComponent(view.id)}` }, "as JSON"))];
}

document.body.append(s("svg", { width: 0, height: 0, class: "defs", "aria-hidden": "true" }, s("defs", {},
  s("pattern", { id: "may-stop", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(-45)" }, s("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 5 })))));
const live = createLive({ load, show });
setInterval(() => {
  if (last.status) drawHeader({ status: last.status, plan: last.data?.plan ?? null, now: live.now, redraw: () => show(last.data, last.status) });
  placeLines();
  if (axis.cursor === null) redrawLanes({ readOnly: true });
}, 1000);
