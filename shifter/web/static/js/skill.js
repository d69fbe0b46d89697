// What a source adds to repeating the past: the share of persistence's error that it avoids, by lead time.

import { h, s } from "./dom.js";
import { num, percent, plural } from "./format.js";
import { plot } from "./plot.js";
import { tableToggle } from "./table.js";

const STEP = 0.25;
/** A source may err many times as much as persistence; how many is said in figures, not drawn. */
const LOWEST = -1;

/** The chart of one source, or a sentence where there is none. */
export function drawSkill(source) {
  const shown = source.by_lead.filter((part) => part.point.skill !== null);
  return h("div", { class: "plot-box", data: { plot: "skill" } },
    h("div", { class: "block-head" },
      h("h3", {}, "Skill against persistence"),
      h("span", { class: "spacer" }),
      shown.length ? tableToggle(() => skillTable(source), `skill-${source.source}`) : null),
    shown.length ? chart(source, shown) : h("p", { class: "empty" },
      "Persistence repeats what came a day before or earlier. Of these cases it could repeat nothing yet."));
}

function chart(source, shown) {
  const skills = shown.map((part) => part.point.skill);
  const outward = (v) => Math.sign(v) * Math.ceil(Math.abs(v) / STEP - 1e-9) * STEP;
  const low = Math.max(LOWEST, outward(Math.min(...skills, 0)));
  const high = Math.max(STEP, outward(Math.max(...skills, 0)));
  const ticks = Array.from({ length: Math.round((high - low) / STEP) + 1 }, (_, i) => low + i * STEP);
  const bars = {
    height: 280,
    x: { range: [-0.5, shown.length - 0.5], ticks: shown.map((part, i) => [i, `${part.from_h}–${part.to_h}`]), title: "hours ahead" },
    y: { range: [low, high + 0.07 * (high - low)], ticks: ticks.map((v) => [v, num(100 * v)]), title: "% less error than persistence" },
    label: `Skill of ${source.source} against persistence. ${shown.map(said).join(" ")}`,
    draw: (px, py) => [
      shown.map((part, i) => bar(part, px(i), (px(1) - px(0)) * 0.62, py, low)),
      s("line", { class: "plot-zero", x1: px(-0.5), x2: px(shown.length - 0.5), y1: py(0), y2: py(0) }),
    ],
  };
  return h("div", { class: "plot-row" },
    plot(bars),
    h("div", { class: "plot-key" },
      h("ul", {},
        h("li", {}, h("span", { class: "key-line" }), h("span", {}, "no better than repeating the past")),
        h("li", {}, h("span", { class: "key-bar" }), h("span", {}, "error that it avoids")),
        skills.some((v) => v < 0) ? h("li", {}, h("span", { class: "key-bar worse" }), h("span", {}, "error that it adds")) : null),
      h("p", { class: "small" }, "Skill is 1 − rMAE: 100 % would be no error at all.")));
}

function bar(part, x, width, py, low) {
  const { skill } = part.point;
  const [top, bottom] = [py(Math.max(skill, 0)), py(Math.max(Math.min(skill, 0), low))];
  // Over a bar that goes up, and over the line for one that goes down: below it the ticks stand.
  return s("g", { class: skill < 0 ? "bar-worse" : "bar-better" },
    s("rect", { x: x - width / 2, width, y: top, height: Math.max(bottom - top, 1) }, s("title", {}, said(part))),
    s("text", { class: "plot-value", x, y: top - 4, "text-anchor": "middle" }, percent(skill).replace(" ", "\u202f")));
}

function said(part) {
  const { skill } = part.point;
  return `${part.from_h} to ${part.to_h} hours ahead: ${percent(Math.abs(skill))} ${skill < 0 ? "more" : "less"} error, of ${plural(part.point.n, "case")}.`;
}

function skillTable(source) {
  const columns = ["from [h]", "to [h]", "cases", `MAE [${source.unit}]`, "MAE of persistence", "rMAE", "skill"];
  const rows = source.by_lead.map((p) => [p.from_h, p.to_h, p.point.n, p.point.mae, p.point.persistence_mae, p.point.rmae, p.point.skill]);
  return { name: `skill-${source.source}`, columns, rows };
}
