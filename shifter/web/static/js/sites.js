// Each site: what its accelerators hold, from the bottom up to what it has, and what it draws against its limit.

import { css, h, siteColour } from "./dom.js";
import { figure, num } from "./format.js";
import { lane, laneRow, niceRange } from "./lane.js";
import { siteSeries } from "./model.js";
import { tableToggle } from "./table.js";

const chosenPool = new Map();

const LAYERS = [
  ["realtime", "real-time, expected"],
  ["headroom", "reserved for its peaks"],
  ["margin", "reserved for failures"],
  ["firm", "deferrable"],
  ["preemptible", "deferrable, preemptible"],
];

/** All sites into `host`. */
export function drawSites(host, { plan, sites, edges }) {
  host.replaceChildren(
    h("div", { class: "block-head" },
      h("h2", {}, "Sites"),
      h("ul", { class: "kinds" }, LAYERS.map(([key, text]) => h("li", {}, h("span", { class: `swatch layer-${key}` }), text))),
      h("span", { class: "spacer" }),
      tableToggle(() => siteTable(plan, sites, edges), "sites"),
    ),
  );
  for (const site of sites) {
    const block = h("div", { class: "site" });
    host.append(block);
    drawSite(block, { plan, site, edges });
  }
}

function drawSite(block, context) {
  const { plan, site, edges } = context;
  const all = siteSeries(plan, site, edges);
  const pool = all.pools.includes(chosenPool.get(site.name)) ? chosenPool.get(site.name) : null;
  const series = pool ? siteSeries(plan, site, edges, pool) : all;
  block.replaceChildren();
  drawAccelerators(block, context, series, all.pools, pool);
  drawPower(block, site, series, edges);
}

function drawAccelerators(block, context, series, pools, pool) {
  const { site, edges } = context;
  const values = {};
  const cell = (key) => (values[key] = h("b", {}, "–"));
  const { layers, count } = series;
  const choose = (event) => {
    chosenPool.set(site.name, event.target.value || null);
    drawSite(block, context);
    block.querySelector("select")?.focus();
  };
  const { row, plot } = laneRow([
    h("h3", {}, h("span", { class: "swatch", style: { background: siteColour(site.index) } }), site.name,
      h("small", {}, ` ${[site.tier, site.zone].filter(Boolean).join(" · ")}`)),
    pools.length > 1
      ? h("select", { "aria-label": `Pool of ${site.name}`, data: { key: `pool-${site.name}` }, onchange: choose },
          h("option", { value: "" }, `all ${pools.length} pools`),
          pools.map((name) => h("option", { value: name, selected: name === pool }, name)))
      : h("p", { class: "small" }, pools[0] ?? ""),
    h("ul", { class: "readout" },
      h("li", {}, h("span", { class: "name" }, "real-time"), cell("realtime")),
      h("li", {}, h("span", { class: "name" }, "reserved beside it"), cell("held")),
      h("li", {}, h("span", { class: "name" }, "deferrable"), cell("deferrable")),
      h("li", {}, h("span", { class: "name" }, "accelerators in all"), cell("count")),
    ),
  ]);
  block.append(row);
  const top = Math.max(1, ...count);
  lane(plot, {
    edges,
    range: [0, top * 1.05],
    ticks: false,
    height: 118,
    label: `Accelerators of ${site.name}: real-time, reserved beside it, deferrable, of ${num(top)}.`,
    draw(p) {
      const colour = siteColour(site.index);
      const faint = css("--plot");
      const paint = {
        realtime: css("--realtime"),
        headroom: p.hatch(css("--reserve"), css("--reserve-back"), { gap: 5 }),
        inMargin: p.hatch(faint, colour, { gap: 5, width: 1.6, back: true }),
        margin: p.hatch(css("--reserve"), null, { gap: 8, width: 1 }),
        firm: colour,
        preemptible: p.hatch(faint, colour, { gap: 5, width: 1.6, back: true }),
      };
      let base = count.map(() => 0);
      for (const key of ["realtime", "headroom", "inMargin", "margin", "firm", "preemptible"]) {
        const to = base.map((b, i) => b + layers[key][i]);
        p.layer(base, to, paint[key]);
        base = to;
      }
      const thin = { width: 1.4, dash: [] };
      p.steps(count, css("--limit"), () => thin);
    },
    read(i) {
      const at = (key) => (i < 0 ? NaN : layers[key][i]);
      values.realtime.textContent = figure(at("realtime"));
      values.held.textContent = figure(at("headroom") + at("margin") + at("inMargin"));
      values.deferrable.textContent = figure(at("firm") + at("preemptible") + at("inMargin"));
      values.count.textContent = i < 0 ? "–" : num(count[i]);
    },
  });
}

function drawPower(block, site, series, edges) {
  const { importKw, atPeaksKw, limitKw, storedKwh, chargeKw, dischargeKw } = series;
  const limits = limitKw.filter(Number.isFinite);
  const battery = Math.max(...storedKwh) > 0 || Math.max(...chargeKw, ...dischargeKw) > 0;
  const drawn = h("b", {}, "–");
  const peaks = h("b", {}, "–");
  const limit = h("b", {}, "–");
  const stored = h("b", {}, "–");
  const usual = Math.max(0, ...limits);
  const tight = limits.filter((kw) => kw < usual - 1e-6).length;
  const { row, plot } = laneRow([
    h("ul", { class: "readout" },
      h("li", {}, h("span", { class: "name" }, "import ", h("small", {}, "kW")), drawn),
      h("li", {}, h("span", { class: "name" }, "if real-time peaks"), peaks),
      h("li", {}, h("span", { class: "name" }, "limit ", h("small", {}, tight ? `kW, lowered in ${tight} slots` : "kW")), limit),
      battery ? h("li", {}, h("span", { class: "name" }, "battery ", h("small", {}, "kWh")), stored) : null,
    ),
  ]);
  block.append(row);
  const range = niceRange([...atPeaksKw, ...limits]);
  lane(plot, {
    edges,
    range: [0, range[1]],
    height: battery ? 98 : 88,
    label: `Import of ${site.name} in kW, at most ${num(Math.max(...importKw))}${limits.length ? `, limit ${num(usual)}` : ", no limit"}.`,
    draw(p) {
      const colour = siteColour(site.index);
      p.ctx.globalAlpha = 0.16;
      p.layer(importKw.map(() => 0), importKw, colour);
      p.ctx.globalAlpha = 0.55;
      p.layer(importKw, atPeaksKw, p.hatch(colour, null, { gap: 6, width: 1.6 }));
      p.ctx.globalAlpha = 1;
      p.layer(limitKw.map((kw) => (kw !== null && kw < usual - 1e-6 ? kw : NaN)), limitKw.map(() => range[1]), css("--forbidden"));
      const line = { width: 1.6, dash: [] };
      p.steps(importKw, colour, () => line);
      const bound = { width: 1.4, dash: [5, 3] };
      p.steps(limitKw, css("--limit"), () => bound);
    },
    read(i) {
      peaks.textContent = i < 0 ? "–" : figure(atPeaksKw[i]);
      drawn.textContent = i < 0 ? "–" : figure(importKw[i]);
      limit.textContent = i < 0 || limitKw[i] === null ? "none" : figure(limitKw[i]);
      stored.textContent = i < 0 ? "–" : figure(storedKwh[i]) + flow(chargeKw[i], dischargeKw[i]);
    },
  });
}

const flow = (charge, discharge) => (charge > 0.05 ? ` ↑${figure(charge)} kW` : discharge > 0.05 ? ` ↓${figure(discharge)} kW` : "");

function siteTable(plan, sites, edges) {
  const columns = ["start", "site", "real-time p50", "reserved", "deferrable firm", "deferrable preemptible", "count", "import kW", "import kW if real-time peaks", "limit kW", "stored kWh"];
  const rows = [];
  for (const site of sites) {
    const all = siteSeries(plan, site, edges);
    const { layers } = all;
    for (let i = 0; i + 1 < edges.length; i += 1) {
      rows.push([edges[i], site.name, layers.realtime[i],
        layers.realtime[i] + layers.headroom[i] + layers.inMargin[i] + layers.margin[i], layers.firm[i],
        layers.preemptible[i] + layers.inMargin[i], all.count[i], all.importKw[i], all.atPeaksKw[i], all.limitKw[i], all.storedKwh[i]]);
    }
  }
  return { name: "sites", columns, rows };
}
