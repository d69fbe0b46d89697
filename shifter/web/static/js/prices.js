// Price and carbon over the horizon, a step line a zone. How much a value is worth decides how its line looks.

import { css, h, s, siteColour } from "./dom.js";
import { figure, num } from "./format.js";
import { lane, laneRow, niceRange } from "./lane.js";
import { tableToggle } from "./table.js";

/** From a fact to a guess, and what is made up. */
export const KINDS = {
  actual: { text: "measured", width: 2.4, dash: [] },
  cleared: { text: "cleared at auction", width: 2.4, dash: [] },
  forecast: { text: "forecast", width: 1.3, dash: [] },
  model: { text: "our extension", width: 1.5, dash: [7, 4] },
  synthetic: { text: "SYNTHETIC, not the real grid", width: 1.9, dash: [2, 2.5] },
  missing: { text: "missing", width: 1, dash: [] },
};

/** Colour of a zone: that of its first site. */
export function zoneColours(zones, sites) {
  let spare = sites.length;
  return new Map(zones.map((zone) => [zone, sites.find((site) => site.zone === zone)?.index ?? spare++]));
}

/** A sample of the line that means a kind. */
export function kindSample(kind, colour = "currentColor") {
  const { width, dash } = KINDS[kind];
  return s("svg", { class: "sample", width: 26, height: 8, "aria-hidden": "true" },
    s("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: colour, "stroke-width": width, "stroke-dasharray": dash.join(" ") || null }),
  );
}

/** Both lanes into `host`. `series` is `{price: [...], carbon: [...]}` of `zoneSeries`. */
export function drawPrices(host, { series, sites, edges }) {
  const zones = [...new Set([...series.price, ...series.carbon].map((one) => one.zone))];
  const colours = zoneColours(zones, sites);
  const kinds = [...new Set([...series.price, ...series.carbon].flatMap((one) => one.kinds))].filter((k) => k !== "missing");
  host.replaceChildren(
    h("div", { class: "block-head" },
      h("h2", {}, "Grid"),
      h("ul", { class: "kinds" }, Object.keys(KINDS).filter((k) => kinds.includes(k)).map((kind) =>
        h("li", { class: kind === "synthetic" ? "synthetic-word" : null }, kindSample(kind), KINDS[kind].text),
      )),
      h("span", { class: "spacer" }),
      tableToggle(() => gridTable(series, edges), "grid"),
    ),
  );
  drawOne(host, { title: "Price", list: series.price, colours, sites, edges, ticks: false });
  drawOne(host, { title: "Carbon", list: series.carbon, colours, sites, edges, ticks: true });
}

const UNITS = { "gCO2e/kWh": "g CO₂e/kWh" };

function drawOne(host, { title, list, colours, sites, edges, ticks }) {
  const known = list.filter((one) => one.values.some(Number.isFinite));
  const rows = new Map();
  const unit = UNITS[list[0]?.unit] ?? list[0]?.unit ?? "";
  const basis = [...new Set(list.map((one) => one.basis).filter(Boolean))].join(" and ");
  const parts = [
    h("h3", {}, title, " ", h("small", {}, unit, basis ? `, ${basis}` : "")),
    h("ul", { class: "readout" }, list.map((one) => {
      const value = h("b", {}, "–");
      const note = h("i", {}, "");
      rows.set(one.zone, { value, note });
      const names = sites.filter((site) => site.zone === one.zone).map((site) => site.name).join(", ");
      return h("li", {}, h("span", { class: "swatch", style: { background: siteColour(colours.get(one.zone)) } }),
        h("span", { class: "name", title: names ? `${one.zone}: ${names}` : one.zone }, one.zone, names ? h("small", {}, ` ${names}`) : null),
        note, value);
    })),
  ];
  const { row, plot } = laneRow(parts);
  host.append(row);
  if (known.length === 0) {
    plot.append(h("p", { class: "empty" }, `Nobody has forecast ${title.toLowerCase()} for this horizon yet.`));
    return;
  }
  const range = niceRange(known.flatMap((one) => [...one.values, ...(one.band ? one.band.high : [])]));
  lane(plot, {
    edges,
    range,
    ticks,
    height: ticks ? 118 : 104,
    digits: range[1] - range[0] < 5 ? 1 : 0,
    label: `${title} by zone. ${known.map((one) => summary(one, unit)).join(" ")}`,
    draw(p) {
      if (known.some((one) => one.synthetic)) p.watermark("SYNTHETIC");
      if (range[0] < 0) p.layer(edges.slice(1).map(() => range[0]), edges.slice(1).map(() => 0), css("--negative"));
      for (const one of known) {
        const colour = siteColour(colours.get(one.zone));
        if (one.band) {
          p.ctx.globalAlpha = 0.13;
          p.layer(one.band.low, one.band.high, colour);
          p.ctx.globalAlpha = 1;
        }
        p.steps(one.values, colour, (i) => KINDS[one.kinds[i]] ?? KINDS.forecast);
      }
    },
    read(i) {
      for (const one of list) {
        const { value, note } = rows.get(one.zone);
        value.textContent = i < 0 ? "–" : figure(one.values[i]);
        note.textContent = i < 0 || one.kinds[i] === "forecast" ? "" : one.kinds[i];
        note.className = `kind-${one.kinds[i]}`;
      }
    },
  });
}

function summary(one, unit) {
  const known = one.values.filter(Number.isFinite);
  const made = one.synthetic ? " synthetic," : "";
  return `${one.zone}:${made} from ${num(Math.min(...known))} to ${num(Math.max(...known))} ${unit}.`;
}

function gridTable({ price, carbon }, edges) {
  const columns = ["start"];
  const all = [...price.map((one) => ["price", one]), ...carbon.map((one) => ["carbon", one])];
  for (const [what, one] of all) columns.push(`${one.zone} ${what} [${one.unit}]`, `${one.zone} ${what} kind`);
  const rows = edges.slice(0, -1).map((t, i) => [t, ...all.flatMap(([, one]) => [one.values[i], one.kinds[i]])]);
  return { name: "grid", columns, rows };
}
