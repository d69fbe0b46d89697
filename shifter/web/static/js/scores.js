// How good each source was: what deciding by it was worth, its errors by lead time beside persistence's, and its bands.

import { h, replace } from "./dom.js";
import { NO_ERROR, figure, moment, ms, num, percent, plural } from "./format.js";
import { drawReliability } from "./reliability.js";
import { drawSkill } from "./skill.js";
import { tableToggle } from "./table.js";

/** All sources into `host`; null while scoring rests. */
export function drawScores(host, scores) {
  host.setAttribute("aria-busy", "false");
  if (scores === null) {
    replace(host, h("div", { class: "panel" }, h("h2", {}, "How good the forecasts were"),
      h("p", { class: "empty" }, "Scoring rests for a while after it has worked, so that plans do not wait for it. Try again in a moment.")));
    return;
  }
  const silent = scores.unjudged.map((name) => h("p", { class: "empty" }, `${name}: nobody says yet what came of its forecasts.`));
  if (scores.sources.length === 0) {
    replace(host, h("div", { class: "panel" }, h("h2", {}, "How good the forecasts were"),
      silent.length ? silent : h("p", { class: "empty" }, "Nothing to score yet. What was cleared or measured is no forecast; a forecast counts once its hours are over.")));
    return;
  }
  replace(host, h("div", { class: "scored" }, scores.sources.map(drawSource), silent));
}

function drawSource(s) {
  const flawless = s.overall.point.mae < NO_ERROR;
  return h("section", { class: "panel", data: { source: s.source } },
    h("div", { class: "block-head" },
      h("h2", {}, s.source),
      s.synthetic ? h("span", { class: "badge synthetic" }, "SYNTHETIC") : null,
      s.shadow ? h("small", {}, "on trial, nothing is planned by it") : null,
      h("small", {}, `${plural(s.vintages, "forecast")}, of ${moment(ms(s.start))} to ${moment(ms(s.end))}; judged by ${s.outcomes_of === s.source ? "its own last word" : s.outcomes_of}`)),
    flawless ? h("p", { class: "empty" }, withoutError(s)) : [figures(s), leads(s), h("div", { class: "plots" }, drawReliability(s), drawSkill(s))]);
}

/** Where nothing was ever off there is no error to draw, and no figure that would say more. */
function withoutError(s) {
  const cases = s.overall.point.n === 1 ? "In the one case" : `In all ${plural(s.overall.point.n, "case")}`;
  return `${cases} of which it is known, what came was what it had said: there is no error to draw.` + (s.synthetic
    ? " It is made up, and what it says is what comes, so this tells nothing of how good a real forecast is." : "");
}

function leads(s) {
  const most = Math.max(...s.by_lead.flatMap((p) => [p.point.mae, p.point.persistence_mae ?? 0]), 1e-9);
  const points = s.by_lead.map((p) => p.point);
  return [
    h("div", { class: "block-head" },
      h("h3", {}, "Error by lead time"),
      h("small", {}, `mean absolute error, ${s.unit === "gCO2e/kWh" ? "g CO₂e/kWh" : s.unit}`),
      h("span", { class: "spacer" }),
      tableToggle(() => leadTable(s), `scores-${s.source}`)),
    h("ul", { class: "kinds" },
      h("li", {}, h("span", { class: "key-bar" }), "its mean error"),
      points.some((p) => p.skill < 0) ? h("li", {}, h("span", { class: "key-bar worse" }), "where it is more than persistence's") : null,
      points.some((p) => p.persistence_mae !== null) ? h("li", {}, h("span", { class: "key-mark" }), "persistence's") : null),
    h("div", { class: "leads" }, s.by_lead.map((p) => leadRow(p, most, s.unit)))];
}

function leadRow(p, most, unit) {
  const { mae, persistence_mae: naive, skill } = p.point;
  const worse = skill !== null && skill < 0;
  const share = (x) => `${Math.min(100, (100 * x) / most).toFixed(2)}%`;
  const words = skill === null ? "" : worse ? `, ${percent(-skill)} more than persistence` : `, ${percent(skill)} less than persistence`;
  return h("div", { class: "lead" },
    h("span", { class: "lead-name" }, `${p.from_h}–${p.to_h} h`),
    h("div", { class: "lead-track", role: "img", "aria-label": `${p.from_h} to ${p.to_h} hours ahead: ${figure(mae)} ${unit}${words}` },
      h("i", { class: worse ? "worse" : null, style: { width: share(mae) } }),
      naive === null ? null : h("b", { style: { left: share(naive) } })),
    h("span", { class: "lead-said" }, h("b", {}, figure(mae)), words || " of error"));
}

function figures(s) {
  const d = s.decision;
  const band = (s.overall.bands.bands ?? []).at(-1);
  const unit = s.unit === "gCO2e/kWh" ? "g/kWh" : s.unit;
  const sure = d.captured_low === null ? "" : ` (${percent(d.captured_low)} to ${percent(d.captured_high)} with 90 %)`;
  return h("div", { class: "figures" },
    h("div", {}, h("h3", {}, "Captured"),
      h("strong", {}, percent(d.captured)),
      h("p", {}, d.origins === 0 ? "No window of which enough is known." : `of what foresight would save a job of ${num(d.job_hours)} h within ${num(d.within_hours)} h${sure}; persistence ${percent(d.persistence_captured)}`)),
    h("div", {}, h("h3", {}, "Regret"),
      h("strong", {}, d.regret === null ? "–" : `${figure(d.regret)} ${unit}`),
      h("p", {}, d.origins === 0 ? "" : `what its errors cost: at once ${figure(d.run_now)}, by it ${figure(d.chosen)}, at best ${figure(d.perfect)}`)),
    h("div", {}, h("h3", {}, "Error"),
      h("strong", {}, `${figure(s.overall.point.mae)} ${unit}`),
      h("p", {}, s.overall.point.skill === null ? "persistence knows nothing yet" : `${percent(Math.abs(s.overall.point.skill))} ${s.overall.point.skill < 0 ? "more" : "less"} than persistence${noise(s.against_persistence)}`)),
    band
      ? h("div", {}, h("h3", {}, `Inside its ${percent(band.nominal)} band`),
          h("strong", {}, percent(band.coverage)), h("p", {}, `mean width ${figure(band.width)} ${unit}`))
      : h("div", {}, h("h3", {}, "Order within the day"),
          h("strong", {}, s.overall.rank_correlation === null ? "–" : num(s.overall.rank_correlation, 2)),
          h("p", {}, "rank correlation: 1 is the right order, 0 none")));
}

/** Whether a difference is more than noise, where there are days enough to tell. */
function noise(test) {
  if (test === null) return ", too few days to be sure";
  return test.p_value < 0.05 ? "" : ", which may be noise";
}

function leadTable(s) {
  const columns = ["from [h]", "to [h]", "cases", `MAE [${s.unit}]`, "bias", "RMSE", "rMAE", "CRPS", "rank correlation", "availability"];
  const rows = s.by_lead.map((p) => [p.from_h, p.to_h, p.point.n, p.point.mae, p.point.bias, p.point.rmse, p.point.rmae, p.crps, p.rank_correlation, p.availability]);
  return { name: `scores-${s.source}`, columns, rows };
}
