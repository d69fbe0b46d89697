// A small chart in SVG: a frame with two scales, and what is drawn in it. For figures that have no time axis.

import { s } from "./dom.js";

const WIDTH = 360;
const FRAME = { left: 46, right: 14, top: 16, bottom: 40 };

/**
 * The chart, `height` high where it is 360 wide; it grows with its place. `x` and `y` are `{range, ticks, title}`, ticks
 * `[[value, text], ...]`; `draw(px, py)` answers what stands in the frame; `label` is what a screen reader is told.
 */
export function plot({ height, x, y, label, draw }) {
  const [left, right, top, bottom] = [FRAME.left, WIDTH - FRAME.right, FRAME.top, height - FRAME.bottom];
  const px = (v) => left + ((v - x.range[0]) / (x.range[1] - x.range[0])) * (right - left);
  const py = (v) => bottom - ((v - y.range[0]) / (y.range[1] - y.range[0])) * (bottom - top);
  return s("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label },
    y.ticks.map(([v, text]) => [
      s("line", { class: "plot-grid", x1: left, x2: right, y1: py(v), y2: py(v) }),
      s("text", { x: left - 6, y: py(v) + 4, "text-anchor": "end" }, text)]),
    x.ticks.map(([v, text]) => s("text", { x: px(v), y: bottom + 16, "text-anchor": "middle" }, text)),
    s("text", { class: "plot-title", x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, x.title),
    s("text", { class: "plot-title", x: left - 6, y: 9, "text-anchor": "start" }, y.title),
    draw(px, py));
}

const SHAPES = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (r) => `M0 ${-1.3 * r}L${1.25 * r} ${r}H${-1.25 * r}z`,
  (r) => `M0 ${-1.4 * r}L${1.4 * r} 0L0 ${1.4 * r}L${-1.4 * r} 0z`,
  (r) => `M0 ${1.3 * r}L${1.25 * r} ${-r}H${-1.25 * r}z`,
  (r) => `M${-0.45 * r} ${-1.3 * r}h${0.9 * r}v${0.85 * r}h${0.85 * r}v${0.9 * r}h${-0.85 * r}v${0.85 * r}h${-0.9 * r}v${-0.85 * r}h${-0.85 * r}v${-0.9 * r}h${0.85 * r}z`,
  (r) => `M${-1.2 * r} ${-0.7 * r}H${1.2 * r}V${0.7 * r}H${-1.2 * r}z`,
];

/** Colour and shape of the `k`th of some lines that have an order: no line is told by its colour alone. */
const shaded = (k) => ({ "--shade": `var(--order-${(k % SHAPES.length) + 1})` });

/** A marker of the `k`th line; `words` are shown while the pointer is on it. */
export const marker = (k, x, y, words = null) =>
  s("path", { class: "plot-mark", d: SHAPES[k % SHAPES.length](4), transform: `translate(${x} ${y})`, style: shaded(k) },
    words === null ? null : s("title", {}, words));

/** The `k`th line through `points`, `[[x, y], ...]`. */
export const line = (k, points) =>
  s("polyline", { class: "plot-line", points: points.map((p) => p.join(",")).join(" "), style: shaded(k) });

/** A sample of the `k`th line. */
export const lineSample = (k) =>
  s("svg", { class: "sample", width: 28, height: 12, "aria-hidden": "true" }, line(k, [[0, 6], [28, 6]]), marker(k, 14, 6));
