// The page of forecasts: a zone and a signal, what was said of it when, and how good that was.

import * as api from "./api.js";
import { $, h, redrawn, replace } from "./dom.js";
import { drawCourse, loadCourse } from "./course.js";
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
};
let last = { data: null, status: null };

function select(name, label, options, word = (o) => o) {
  const choose = (event) => {
    chosen[name] = event.target.value;
    history.replaceState(null, "", `?${new URLSearchParams(chosen)}`);
    live.refresh();
  };
  return h("label", {}, label, h("select", { name, onchange: choose, data: { key: name } },
    options.map((o) => h("option", { value: o, selected: o === chosen[name] }, word(o)))));
}

function drawChoice() {
  replace($("choice"), select("zone", "Zone", zones), select("signal", "Signal", SIGNALS), select("days", "Scored over", DAYS, (d) => `${d} days`));
  $("choice").addEventListener("submit", (event) => event.preventDefault());
}

async function load() {
  const { zone, signal, days } = chosen;
  const orNull = (error) => {
    if (error instanceof api.Problem) return null;
    throw error;
  };
  const [plan, course, learnt, scores] = await Promise.all([
    api.plan().catch(orNull), loadCourse(zone, signal, live.now()), api.learnt(zone), api.forecastScores(zone, signal, days).catch(orNull)]);
  return { plan, course, learnt, signal, scores, key: `${zone}|${signal}|${days}` };
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

drawChoice();
const live = createLive({ load, show });

setInterval(() => {
  if (last.status) drawHeader({ status: last.status, plan: last.data?.plan ?? null, now: live.now, redraw: () => show(last.data, last.status) });
  placeLines();
  if (axis.cursor === null) redrawLanes({ readOnly: true });
}, 1000);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (last.data) show(last.data, last.status);
});
