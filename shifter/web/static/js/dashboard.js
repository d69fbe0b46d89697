// The first page: fetch, derive, draw; again when the daemon says that something changed.

import * as api from "./api.js";
import { $, h, redrawn, replace, s } from "./dom.js";
import { createLive } from "./live.js";
import { redrawLanes } from "./lane.js";
import { ganttRows, savings, siteList, slotEdges, zoneSeries, zoneSeriesOfPlan } from "./model.js";
import { axis, placeLines } from "./timeaxis.js";
import { drawEvents, drawSources, drawTrouble } from "./lists.js";
import { drawGantt } from "./gantt.js";
import { drawHeader } from "./header.js";
import { createNow } from "./now.js";
import { drawLimited } from "./limited.js";
import { drawPrices } from "./prices.js";
import { drawSavings } from "./savings.js";
import { drawSites } from "./sites.js";
import { drawValue } from "./value.js";

let last = { data: null, status: null };

/** A plan that does not exist yet is an answer; anything else that fails is not. */
const orNull = (promise) => promise.catch((error) => {
  if (error instanceof api.Problem && [404, 503].includes(error.status)) return null;
  throw error;
});

async function load() {
  const [plan, workloads, worth] = await Promise.all([orNull(api.plan()), api.workloads(), api.value()]);
  const forecasts = plan ? await api.forecasts(plan.horizon.start, plan.horizon.end) : null;
  return { plan, workloads, forecasts, worth };
}

function show(data, status, { light = false } = {}) {
  last = { data, status };
  document.body.dataset.connected = String(status.connected);
  drawHeader({ status, plan: data?.plan ?? null, now: live.now, redraw: () => show(data, status) });
  drawEvents($("events"), status.events);
  if (!data) {
    if (status.connected === false || status.problem) replace($("savings"), h("p", { class: "empty" }, "Nothing to show yet."));
    return;
  }
  drawSources($("sources"), { health: status.health, forecasts: data.forecasts, now: live.now() });
  if (light) return;
  realTime.show(data.plan, data.worth);
  if (data.plan) drawPlan(data);
  else drawWithoutPlan(data, status);
  drawTrouble($("trouble"), ganttRows(data.plan, data.workloads));
  document.body.dataset.ready = data.plan?.plan_id ?? "no-plan";
}

function drawPlan({ plan, workloads, forecasts, worth }) {
  const edges = slotEdges(plan);
  axis.start = edges[0];
  axis.end = edges[edges.length - 1];
  axis.now = live.now();
  const sites = siteList(plan, api.fleet);
  const series = (signal) => {
    const said = forecasts ? zoneSeries(forecasts, signal, edges) : [];
    return said.length ? said : zoneSeriesOfPlan(plan, sites, signal, edges);
  };
  drawSavings($("savings"), savings(plan, workloads), plan);
  redrawn($("prices"), () => drawPrices($("prices"), { series: { price: series("price"), carbon: series("carbon") }, sites, edges }));
  drawGantt($("workloads"), { rows: ganttRows(plan, workloads), sites, currency: plan.currency });
  redrawn($("sites"), () => drawSites($("sites"), { plan, sites, edges }));
  redrawn($("value"), () => drawValue($("value"), worth, sites));
  redrawn($("limited"), () => drawLimited($("limited"), plan));
  placeLines();
}

function drawWithoutPlan({ workloads }, status) {
  replace($("savings"), h("p", { class: "empty" }, "There is no plan yet. It is made from the first forecasts, as soon as they arrive; this page then shows it by itself."));
  const now = live.now();
  Object.assign(axis, { start: now - 36e5, end: now + 48 * 36e5, now });
  replace($("prices"));
  replace($("sites"));
  drawValue($("value"), null, []);
  drawLimited($("limited"), {});
  drawGantt($("workloads"), { rows: ganttRows(null, workloads), sites: [], currency: "" });
  if (status.problem) console.info(status.problem.message);
}

/** Hatching for preemptible work, used by every row. */
function defineHatch() {
  document.body.append(s("svg", { width: 0, height: 0, class: "defs", "aria-hidden": "true" }, s("defs", {},
    s("pattern", { id: "may-stop", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(-45)" },
      s("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 5 })))));
}

defineHatch();
const realTime = createNow($("now"), () => live.now());
const live = createLive({ load, show });

function tick() {
  if (last.status) drawHeader({ status: last.status, plan: last.data?.plan ?? null, now: live.now, redraw: () => show(last.data, last.status) });
  placeLines();
  if (axis.cursor === null) redrawLanes({ readOnly: true });
}
setInterval(tick, 1000);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (last.data) show(last.data, last.status);
});
