// A lane: one small chart over the shared time axis. uPlot keeps scales, axes and the pointer; what is drawn in it is
// a function of the slots, because half-open slots want exact steps and hatching, not lines between points.

import { css, h } from "./dom.js";
import { num, timeTicks } from "./format.js";
import { addLines, axis, onCursor, setCursor } from "./timeaxis.js";

const FONT = "11px system-ui, sans-serif";
const lanes = new Set();

/** Forget lanes whose host has left the page. */
function sweep() {
  for (const lane of lanes) if (!lane.host.isConnected) lane.destroy();
}

/** The index of the slot that holds `t` (ms), or -1. */
export function slotAt(edges, t) {
  if (t === null || t < edges[0] || t >= edges[edges.length - 1]) return -1;
  let low = 0;
  let high = edges.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (edges[middle] <= t) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * Draw a lane into `host`. `edges` are the slot boundaries [ms], `range` the y scale, `draw(pen)` paints it,
 * `read(slot)` is called with the slot under the pointer, or that of now, or -1.
 */
export function lane(host, { edges, range, draw, read, height, label, ticks = true, digits = 0, splits = null }) {
  sweep();
  const [low, high] = range;
  const seconds = edges.map((t) => t / 1000);
  const y = seconds.map((_, i) => (i === 0 ? low : high));
  const gutter_px = parseInt(css("--axis"), 10) || 46;
  const right_px = parseInt(css("--plot-right"), 10) || 12;
  const plot_px = (u) => Math.max(60, u.width - gutter_px - right_px);
  const grid = { show: true, stroke: () => css("--grid"), width: 1 };
  const options = {
    width: Math.max(120, host.clientWidth),
    height,
    padding: [8, right_px, ticks ? 0 : 6, 0],
    legend: { show: false },
    select: { show: false },
    scales: { x: { time: false, range: [axis.start / 1000, axis.end / 1000] }, y: { range: [low, high] } },
    series: [{}, { paths: () => null, points: { show: false } }],
    axes: [
      {
        size: ticks ? 22 : 0,
        show: true,
        font: FONT,
        stroke: () => css("--muted"),
        grid,
        ticks: { show: false },
        gap: 3,
        splits: (u) => timeTicks(axis.start, axis.end, plot_px(u)).map((t) => t.t / 1000),
        values: (u) =>
          ticks
            ? timeTicks(axis.start, axis.end, plot_px(u)).map((t) =>
                (t.t - axis.start) / (axis.end - axis.start) > 0.985 ? "" : t.label,
              )
            : [],
      },
      {
        size: gutter_px,
        font: FONT,
        stroke: () => css("--muted"),
        grid,
        ticks: { show: false },
        gap: 5,
        space: 26,
        ...(splits ? { splits: () => splits } : {}),
        values: (u, marks) => marks.map((v) => num(v, digits)),
      },
    ],
    cursor: {
      y: false,
      x: false,
      points: { show: false },
      drag: { x: false, y: false },
    },
    hooks: { draw: [(u) => draw(pen(u, edges))] },
  };
  const u = new window.uPlot(options, [seconds, y], host);
  u.root.setAttribute("role", "img");
  u.root.setAttribute("aria-label", label);
  addLines(u.over);
  const say = (t) => read?.(slotAt(edges, t ?? axis.now));
  const stop = onCursor(say);
  u.over.addEventListener("pointermove", (event) => {
    const box = u.over.getBoundingClientRect();
    setCursor(axis.start + ((event.clientX - box.left) / box.width) * (axis.end - axis.start));
  });
  u.over.addEventListener("pointerleave", () => setCursor(null));
  const resize = new ResizeObserver(() => {
    if (host.clientWidth > 0 && host.clientWidth !== u.width) u.setSize({ width: host.clientWidth, height });
  });
  resize.observe(host);
  const self = {
    host,
    say,
    redraw: () => u.redraw(false),
    destroy() {
      stop();
      resize.disconnect();
      u.destroy();
      lanes.delete(self);
    },
  };
  lanes.add(self);
  say(axis.cursor);
  return self;
}

/** Draw every lane again: the colours changed, or the clock moved. */
export function redrawLanes({ readOnly = false } = {}) {
  sweep();
  for (const one of lanes) {
    if (!readOnly) one.redraw();
    one.say(axis.cursor);
  }
}

/** What `draw` paints with: positions in canvas pixels, exact at slot boundaries. */
function pen(u, edges) {
  const { ctx } = u;
  const dpr = window.devicePixelRatio || 1;
  const px = edges.map((t) => Math.round(u.valToPos(t / 1000, "x", true)));
  const py = (v) => u.valToPos(v, "y", true);
  const clip = (paint) => {
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    paint();
    ctx.restore();
  };
  return {
    ctx,
    dpr,
    box: u.bbox,
    py,
    /** A layer between `from[i]` and `to[i]` in every slot. */
    layer(from, to, fillStyle) {
      clip(() => {
        ctx.fillStyle = fillStyle;
        for (let i = 0; i < from.length; i += 1) {
          if (!(to[i] > from[i])) continue;
          const top = py(to[i]);
          ctx.fillRect(px[i], top, px[i + 1] - px[i], py(from[i]) - top);
        }
      });
    },
    /** A step line; `style(i)` gives `{width, dash}` of a slot, and a slot without a value is a gap. */
    steps(values, stroke, style) {
      clip(() => {
        ctx.strokeStyle = stroke;
        let open = false;
        let last = null;
        for (let i = 0; i < values.length; i += 1) {
          const known = Number.isFinite(values[i]);
          const wanted = style(i);
          if (open && (!known || wanted !== last)) {
            ctx.stroke();
            open = false;
          }
          if (!known) continue;
          if (!open) {
            ctx.beginPath();
            ctx.lineWidth = wanted.width * dpr;
            ctx.setLineDash(wanted.dash.map((d) => d * dpr));
            const before = i > 0 && Number.isFinite(values[i - 1]) ? values[i - 1] : values[i];
            ctx.moveTo(px[i], py(before));
            open = true;
          }
          ctx.lineTo(px[i], py(values[i]));
          ctx.lineTo(px[i + 1], py(values[i]));
          last = wanted;
        }
        if (open) ctx.stroke();
      });
    },
    /** Hatching of a colour: for what is held back, or may be stopped. */
    hatch(colour, background, { width = 1.4, gap = 6, back = false } = {}) {
      const size = Math.round(gap * dpr);
      const tile = document.createElement("canvas");
      tile.width = size;
      tile.height = size;
      const t = tile.getContext("2d");
      if (background) {
        t.fillStyle = background;
        t.fillRect(0, 0, size, size);
      }
      t.strokeStyle = colour;
      t.lineWidth = width * dpr;
      for (const shift of [-size, 0, size]) {
        t.beginPath();
        t.moveTo(back ? shift : shift + size, 0);
        t.lineTo(back ? shift + size : shift, size);
        t.stroke();
      }
      return ctx.createPattern(tile, "repeat");
    },
    /** Faint words across the plot, e.g. SYNTHETIC. */
    watermark(text) {
      ctx.save();
      ctx.font = `700 ${20 * dpr}px system-ui, sans-serif`;
      ctx.fillStyle = css("--watermark");
      ctx.textAlign = "right";
      ctx.textBaseline = "top";
      ctx.fillText(text, u.bbox.left + u.bbox.width - 6 * dpr, u.bbox.top + 2 * dpr);
      ctx.restore();
    },
  };
}

/** A round y range that holds all values, and zero. */
export function niceRange(values, { floor = 0 } = {}) {
  const known = values.filter(Number.isFinite);
  const low = Math.min(floor, ...known);
  const high = Math.max(floor + 1e-9, ...known);
  const pad = (high - low) * 0.06;
  return [low < floor ? low - pad : low, high + pad];
}

/** A panel's left cell: title, note, and rows that `read` fills. */
export function laneRow(parts, plotClass = "") {
  const plot = h("div", { class: `lane-plot ${plotClass}` });
  return { row: h("div", { class: "lane" }, h("div", { class: "lane-side" }, parts), plot), plot };
}
