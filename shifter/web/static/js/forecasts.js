// The page of forecasts: a zone and a signal, what was said of it when, and how good that was.

import * as api from "./api.js";
import { $, h, redrawn, replace } from "./dom.js";
import { dayName, drawCourse, loadCourse, pastDays } from "./course.js";
import { drawHeader } from "./header.js";
import { drawLearnt } from "./learnt.js";
import { createLive } from "./live.js";
import { redrawLanes } from "./lane.js";
import { drawScores } from "./scores.js";
import { axis, placeLines } from "./timeaxis.js";

const SIGNALS = ["price", "carbon"];
const DAYS = ["7", "14", "31"];
const zones = [...new Set((api.fleet?.sites ?? []).map((site) => site.zone))];
const asked = new URLSearchParams(location.search);
const chosen = {
  zone: zones.includes(asked.get("zone")) ? asked.get("zone") : zones[0],
  signal: SIGNALS.includes(asked.get("signal")) ? asked.get("signal") : "price",
  days: DAYS.includes(asked.get("days")) ? asked.get("days") : "14",
  day: asked.get("day") ?? "", // of the chart; "" is around now
};
let last = { data: null, status: null };
let today = null; // of the days that are offered

function select(name, label, options, word = (o) => o) {
  const choose = (event) => {
    chosen[name] = event.target.value;
    const { day, ...rest } = chosen;
    history.replaceState(null, "", `?${new URLSearchParams(day ? chosen : rest)}`);
    live.refresh();
  };
  return h("label", {}, label, h("select", { name, onchange: choose, data: { key: name } },
    options.map((o) => h("option", { value: o, selected: o === chosen[name] }, word(o)))));
}

/** Anew only when a day has passed: a list that is open would close. */
function drawChoice() {
  const days = pastDays(live.now());
  if (days[0] === today) return;
  today = days[0];
  if (!days.includes(chosen.day)) chosen.day = "";
  replace($("choice"), select("zone", "Zone", zones), select("signal", "Signal", SIGNALS),
    select("day", "Shown", ["", ...days], (date) => (date ? dayName(date) : "around now")),
    select("days", "Scored over", DAYS, (d) => `${d} days`));
}

async function load() {
  drawChoice();
  const { zone, signal, days, day } = chosen;
  const orNull = (error) => {
    if (error instanceof api.Problem) return null;
    throw error;
  };
  const [plan, course, learnt, scores] = await Promise.all([
    api.plan().catch(orNull), loadCourse(zone, signal, live.now(), day || null), api.learnt(zone), api.forecastScores(zone, signal, days).catch(orNull)]);
  return { plan, course, learnt, signal, scores, key: [zone, signal, days, ...(day ? [day] : [])].join("|") };
}

function show(data, status, { light = false } = {}) {
  last = { data, status };
  document.body.dataset.connected = String(status.connected);
  drawHeader({ status, plan: data?.plan ?? null, now: live.now, redraw: () => show(data, status) });
  if (!data || light) return;
  if (data.course) redrawn($("course"), () => drawCourse($("course"), data.course, live.now()));
  else replace($("course"), h("p", { class: "empty" }, "Nobody has said anything about it yet."));
  drawLearnt($("learnt"), data.learnt, data.signal);
  drawScores($("scores"), data.scores);
  document.body.dataset.ready = data.key;
}

$("choice").addEventListener("submit", (event) => event.preventDefault());
const live = createLive({ load, show });

setInterval(() => {
  if (last.status) drawHeader({ status: last.status, plan: last.data?.plan ?? null, now: live.now, redraw: () => show(last.data, last.status) });
  placeLines();
  if (axis.cursor === null) redrawLanes({ readOnly: true });
}, 1000);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (last.data) show(last.data, last.status);
});
