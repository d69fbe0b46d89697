// How honest a source's bands are: of what came, the share at or below each of its quantiles, by lead time.

import { h, s } from "./dom.js";
import { NO_ERROR, num, percent, plural } from "./format.js";
import { line, lineSample, marker, plot } from "./plot.js";
import { tableToggle } from "./table.js";

/** A share of fewer cases says nothing. */
const LEAST_CASES = 30;
const few = (part) => part.bands.n < LEAST_CASES;
/** All quantiles below what came, or on it: where nothing was ever off, the bands had nothing to hold. */
const neverOff = (part) => part.point.mae < NO_ERROR;
const SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => [v, num(100 * v)]);

/** The diagram of one source, or a sentence where there is none. */
export function drawReliability(source) {
  const banded = source.by_lead.map((part, k) => ({ part, k })).filter(({ part }) => part.bands.levels.length > 0);
  const shown = banded.filter(({ part }) => !few(part) && !neverOff(part));
  return h("div", { class: "plot-box", data: { plot: "reliability" } },
    h("div", { class: "block-head" },
      h("h3", {}, "Reliability"),
      h("span", { class: "spacer" }),
      banded.length ? tableToggle(() => reliabilityTable(source), `reliability-${source.source}`) : null),
    shown.length ? diagram(source, banded, shown) : h("p", { class: "empty" }, banded.length
      ? `Too little has come to say how honest its bands are: at no lead ${LEAST_CASES} cases of which some were off.`
      : "Its forecasts come without bands, so none can be right or wrong."));
}

function diagram(source, banded, shown) {
  const square = {
    height: 356,
    x: { range: [0, 1], ticks: SHARES, title: "% that should lie at or below the quantile" },
    y: { range: [0, 1], ticks: SHARES, title: "% of what came that did" },
    label: `Reliability of ${source.source}. ${shown.map(({ part }) => said(part)).join(" ")}`,
    draw: (px, py) => [
      s("line", { class: "plot-ideal", x1: px(0), y1: py(0), x2: px(1), y2: py(1) }),
      shown.map(({ part, k }) => line(k, part.bands.levels.map((q) => [px(q.p), py(q.below)]))),
      shown.map(({ part, k }) => part.bands.levels.map((q) =>
        marker(k, px(q.p), py(q.below), `${name(part)}: ${percent(q.below)} at or below its ${percent(q.p)} quantile`))),
    ],
  };
  return h("div", { class: "plot-row" },
    plot(square),
    h("div", { class: "plot-key" },
      h("ul", {}, banded.map(({ part, k }) => h("li", {}, lineSample(k), h("span", {}, name(part)),
        h("small", {}, plural(part.bands.n, "case") + (few(part) ? ", too few to draw" : neverOff(part) ? ", never off: not drawn" : ""))))),
      h("p", { class: "small" }, "On the dashed line bands are honest. Flatter than it they are too narrow, steeper too wide; above it the forecasts are too high, below it too low.")));
}

const name = (part) => `${part.from_h}–${part.to_h} h ahead`;

function said(part) {
  const levels = part.bands.levels.map((q) => `${percent(q.below)} below the ${percent(q.p)} quantile`);
  return `${part.from_h} to ${part.to_h} hours ahead, of ${plural(part.bands.n, "case")}: ${levels.join(", ")}.`;
}

function reliabilityTable(source) {
  const columns = ["from [h]", "to [h]", "cases", "quantile", "share at or below", "pinball loss"];
  const rows = source.by_lead.flatMap((p) => p.bands.levels.map((q) => [p.from_h, p.to_h, p.bands.n, q.p, q.below, q.pinball]));
  return { name: `reliability-${source.source}`, columns, rows };
}
