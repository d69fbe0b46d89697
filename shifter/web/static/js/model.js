// From the API's answers to what the page draws: series on slots, Gantt rows, savings. No DOM here.

import { ms } from "./format.js";

/** The horizon's slot boundaries [ms]. */
export function slotEdges(plan) {
  const start = ms(plan.horizon.start);
  const end = ms(plan.horizon.end);
  const step = plan.horizon.slot_minutes * 6e4;
  const edges = [];
  for (let t = start; t <= end; t += step) edges.push(t);
  return edges;
}

/** Sites in the fleet's order, with zone, tier and their place in the palette. */
export function siteList(plan, fleet) {
  const names = [...new Set(plan.slots.map((r) => r.site).concat(plan.power.map((r) => r.site)))];
  const known = new Map((fleet?.sites ?? []).map((site) => [site.name, site]));
  const order = [...known.keys()].filter((n) => names.includes(n)).concat(names.filter((n) => !known.has(n)));
  return order.map((name, index) => ({ name, index, zone: null, tier: null, ...pick(known.get(name)) }));
}

const pick = (site) => (site ? { zone: site.zone, tier: site.tier, perAccelerator: site.facility_kw_per_accelerator } : {});

/**
 * `{pools, layers, count, importKw, atPeaksKw, limitKw, ...}` of a site, one array entry a slot, over `pool` or all of
 * them. `atPeaksKw` is the import were real-time load at its quantile: what the power limit has to hold as well.
 */
export function siteSeries(plan, { name: site, perAccelerator }, edges, pool = null) {
  const n = edges.length - 1;
  const index = new Map(edges.map((t, i) => [t, i]));
  const zero = () => new Array(n).fill(0);
  const layers = { realtime: zero(), headroom: zero(), inMargin: zero(), margin: zero(), firm: zero(), preemptible: zero() };
  const out = { layers, count: zero(), pools: [], importKw: zero(), peaksKw: zero(), limitKw: new Array(n).fill(null), chargeKw: zero(), dischargeKw: zero(), storedKwh: zero() };
  for (const row of plan.slots) {
    if (row.site !== site) continue;
    if (!out.pools.includes(row.pool)) out.pools.push(row.pool);
    const i = index.get(ms(row.start));
    if (i === undefined) continue;
    out.peaksKw[i] += (perAccelerator?.[row.pool] ?? 0) * Math.max(0, (row.realtime_q ?? row.realtime_p50) - row.realtime_p50);
    if (pool && row.pool !== pool) continue;
    addPool(layers, out.count, i, row);
  }
  for (const row of plan.power) {
    if (row.site !== site) continue;
    const i = index.get(ms(row.start));
    if (i === undefined) continue;
    out.importKw[i] = row.import_kw;
    out.limitKw[i] = row.limit_kw ?? null;
    out.chargeKw[i] = row.charge_kw;
    out.dischargeKw[i] = row.discharge_kw;
    out.storedKwh[i] = row.stored_kwh;
  }
  out.atPeaksKw = out.importKw.map((kw, i) => kw + out.peaksKw[i]);
  return out;
}

/**
 * The layers of a pool in a slot, from the bottom; together at most its count, by the contract's two capacity rows.
 * Preemptible work may stand in the redundancy margin `reserved - q`, so it is shown in it first.
 */
function addPool(layers, count, i, row) {
  const q = Math.max(row.realtime_p50, row.realtime_q ?? row.realtime_p50);
  const margin = Math.max(0, row.reserved - q);
  const inMargin = Math.min(row.preemptible, margin);
  layers.realtime[i] += row.realtime_p50;
  layers.headroom[i] += q - row.realtime_p50;
  layers.inMargin[i] += inMargin;
  layers.margin[i] += margin - inMargin;
  layers.firm[i] += row.deferrable - row.preemptible;
  layers.preemptible[i] += row.preemptible - inMargin;
  count[i] += row.count ?? 0;
}

/** Price or carbon by zone: `{zone, values, kinds, low, high, basis, sources, synthetic, unit}`. */
export function zoneSeries(forecasts, signal, edges) {
  return forecasts.signals
    .filter((one) => one.signal === signal)
    .map((one) => {
      const start = ms(one.grid.start);
      const step = one.grid.slot_minutes * 6e4;
      const at = (t) => Math.floor((t - start) / step);
      const spread = one.provenance.flatMap((run) => new Array(run.n_slots).fill(run));
      const slots = edges.slice(0, -1).map(at);
      const take = (values) => slots.map((i) => values?.[i] ?? null);
      const runs = slots.map((i) => spread[i] ?? null);
      const kinds = runs.map((run) => run?.kind ?? "missing");
      const levels = Object.keys(one.quantiles ?? {}).map(Number).sort((a, b) => a - b);
      const low = levels.find((p) => p < 0.5);
      const high = levels.findLast((p) => p > 0.5);
      const key = (p) => Object.keys(one.quantiles).find((k) => Number(k) === p);
      return {
        zone: one.zone,
        unit: one.unit,
        basis: one.basis,
        values: take(one.values),
        kinds,
        band: low && high ? { low: take(one.quantiles[key(low)]), high: take(one.quantiles[key(high)]), names: [low, high] } : null,
        sources: [...new Set(runs.map((run) => run?.source).filter(Boolean))],
        synthetic: kinds.includes("synthetic"),
      };
    });
}

/** Price and carbon from the plan's power rows, for a daemon whose forecasts cannot be read. */
export function zoneSeriesOfPlan(plan, sites, signal, edges) {
  const field = signal === "price" ? "price_per_mwh" : "carbon_g_per_kwh";
  const index = new Map(edges.map((t, i) => [t, i]));
  const seen = new Map();
  for (const site of sites) {
    const values = new Array(edges.length - 1).fill(null);
    for (const row of plan.power) {
      const i = index.get(ms(row.start));
      if (row.site === site.name && i !== undefined) values[i] = row[field];
    }
    const kinds = values.map((v) => (v === null ? "missing" : plan.synthetic ? "synthetic" : "forecast"));
    const unit = signal === "price" ? `${plan.currency}/MWh` : "gCO2e/kWh";
    const zone = site.zone ?? site.name;
    if (!seen.has(zone)) seen.set(zone, { zone, unit, basis: null, values, kinds, band: null, sources: [], synthetic: plan.synthetic });
  }
  return [...seen.values()];
}

/** One Gantt row a workload: its window, its pieces stacked by site, its share of the plan. */
export function ganttRows(plan, workloads) {
  const byId = new Map();
  for (const a of plan?.allocations ?? []) {
    const list = byId.get(a.workload_id) ?? byId.set(a.workload_id, []).get(a.workload_id);
    list.push({ ...a, from: ms(a.start), to: ms(a.end) });
  }
  const shares = new Map((plan?.workloads ?? []).map((w) => [w.workload_id, w]));
  const missing = new Map((plan?.unplaced ?? []).map((u) => [u.workload_id, u]));
  return workloads.map((view) => {
    const pieces = byId.get(view.id) ?? [];
    return {
      id: view.id,
      view,
      share: shares.get(view.id) ?? null,
      unplaced: missing.get(view.id) ?? null,
      pieces,
      blocks: stackPieces(pieces),
      peak: Math.max(view.workload?.max_accelerators ?? 1, 1),
      opens: ms(view.earliest_start ?? view.submitted_at),
      due: ms(view.deadline),
      start: ms(view.planned_start) ?? (pieces.length ? Math.min(...pieces.map((p) => p.from)) : null),
      finish: ms(view.planned_finish) ?? (pieces.length ? Math.max(...pieces.map((p) => p.to)) : null),
      sites: [...new Set(pieces.map((p) => p.site))],
    };
  });
}

/** Pieces that overlap in time stand on each other: `{from, to, site, pool, accelerators, base}`, longest possible. */
export function stackPieces(pieces) {
  const edges = [...new Set(pieces.flatMap((p) => [p.from, p.to]))].sort((a, b) => a - b);
  const blocks = [];
  const open = new Map();
  for (let i = 0; i + 1 < edges.length; i += 1) {
    const together = new Map();
    for (const p of pieces) {
      if (p.from > edges[i] || p.to < edges[i + 1]) continue;
      const key = `${p.site}/${p.pool}`;
      const at = together.get(key) ?? { site: p.site, pool: p.pool, accelerators: 0 };
      at.accelerators += p.accelerators;
      together.set(key, at);
    }
    let base = 0;
    for (const [key, at] of [...together].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const last = open.get(key);
      if (last && last.to === edges[i] && last.accelerators === at.accelerators && last.base === base) last.to = edges[i + 1];
      else {
        const block = { ...at, from: edges[i], to: edges[i + 1], base };
        blocks.push(block);
        open.set(key, block);
      }
      base += at.accelerators;
    }
  }
  return blocks;
}

/** From when to when how much is held where, `{from, to, accelerators, places: Map}`: pieces that overlap are added up, so that no two stretches do. */
export function stretches(pieces) {
  const edges = [...new Set(pieces.flatMap((p) => [p.from, p.to]))].sort((a, b) => a - b);
  const found = [];
  for (let i = 0; i + 1 < edges.length; i += 1) {
    const places = new Map();
    for (const p of pieces) {
      const place = `${p.site}/${p.pool}`;
      if (p.from <= edges[i] && p.to >= edges[i + 1]) places.set(place, (places.get(place) ?? 0) + p.accelerators);
    }
    const last = found.at(-1);
    const same = last?.to === edges[i] && last.places.size === places.size && [...places].every(([place, n]) => last.places.get(place) === n);
    if (same) last.to = edges[i + 1];
    else if (places.size) found.push({ from: edges[i], to: edges[i + 1], places, accelerators: [...places.values()].reduce((a, b) => a + b) });
  }
  return found;
}

/** The plan next to running at once. Differences are plan - baseline: negative is saved. */
export function savings(plan, workloads) {
  const shares = plan.workloads ?? [];
  const sum = (field) => shares.reduce((total, w) => total + (w[field] ?? 0), 0);
  const deferrable = workloads.filter((w) => w.class === "deferrable" && !["done", "cancelled"].includes(w.state));
  const late = deferrable.filter((w) => w.feasible === false || w.state === "late");
  return {
    cost: { plan: plan.cost.total, now: plan.baseline.total },
    deferrableCost: { plan: plan.deferrable_total, now: plan.baseline.deferrable_total },
    carbon: { plan: plan.carbon_kg, now: plan.baseline.carbon_kg },
    deferrableCarbon: { plan: sum("carbon_kg"), now: sum("run_now_carbon_kg") },
    peak: { plan: peakKw(plan), now: plan.baseline.peak_kw },
    deadlines: { met: deferrable.length - late.length, all: deferrable.length, late },
    undoneHoursNow: plan.baseline.unfinished_accelerator_hours ?? 0,
    lateHoursNow: plan.baseline.late_accelerator_hours ?? 0,
    unplacedHours: (plan.unplaced ?? []).reduce((total, u) => total + u.accelerator_hours, 0),
  };
}

/** The highest import of all sites together in any slot [kW]. */
function peakKw(plan) {
  const total = new Map();
  for (const row of plan.power) total.set(row.start, (total.get(row.start) ?? 0) + row.import_kw);
  return Math.max(0, ...total.values());
}
