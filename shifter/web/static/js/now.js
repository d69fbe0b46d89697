// What real-time load needs at this moment against what is held for it, who yields to it, and what is to come. It is read
// between plans, too: a load that outgrows the plan waits for none. Nothing is shown where there is nothing to say.

import * as api from "./api.js";
import { h, replace } from "./dom.js";
import { clock, duration, figure, moment, money, ms, num, percent, plural, span } from "./format.js";
import { notKept } from "./words.js";

const EVERY_MS = 10000;
const MOST_POOLS = 10;
const MOST_PROMISES = 2; // more are folded: what runs when stays in sight
const ROUNDING = 1e-6;
const LATELY_MS = 36e5; // what yielded within an hour is told still: a new plan may take its place within seconds

/** Keeps `host` current; `now()` is the daemon's clock in ms. `show(plan, worth)` has it read at once. */
export function createNow(host, now) {
  let plan = null;
  let worth = null;
  let busy = false;
  let again = false;
  let bases = null;

  async function refresh() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      bases ??= await api.loadBases();
      drawNow(host, plan, { ...(await read()), bases: bases ?? [], worth }, now());
    } catch {
      // Whether the daemon answers is the header's to say; what was last known stays.
    } finally {
      busy = false;
    }
    if (again) {
      again = false;
      refresh();
    }
  }

  setInterval(() => {
    if (!document.hidden) refresh();
  }, EVERY_MS);
  return {
    show(currentPlan, currentWorth) {
      [plan, worth] = [currentPlan, currentWorth];
      refresh();
    },
  };
}

async function read() {
  const places = (api.fleet?.sites ?? []).flatMap((site) => Object.entries(site.counts).map(([pool, count]) => ({ site, pool, count })));
  const [pools, limits, announced, guard] = await Promise.all([
    Promise.all(places.map(async (place) => ({ ...place, holds: await api.capacity(place.site.name, place.pool) }))),
    api.gridEvents(),
    api.announcements(),
    api.guardEvents(),
  ]);
  return { pools, limits: limits ?? [], announced: announced ?? [], guard: guard ?? [] };
}

/** Draw it, or nothing. */
export function drawNow(host, plan, facts, t) {
  const rows = facts.pools.map((pool) => rowOf(pool, plan, facts, t)).filter(Boolean);
  if (rows.length > MOST_POOLS) rows.sort((a, b) => b.worst - a.worst); // else they stay where they are found again
  const notes = [limits(facts.limits, plan, t), announced(facts.announced, t), promises(plan, rows.length ? facts.worth : null)].filter(Boolean);
  host.hidden = rows.length + notes.length === 0;
  const few = rows.filter((row, i) => row.said.length || i < MOST_POOLS);
  replace(host,
    h("div", { class: "block-head" }, h("h2", { id: "now-title" }, "Real-time load now", rows.length ? madeUp(facts.bases ?? []) : null), rows.length ? legend(rows) : null),
    rows.length ? h("ul", { class: "now-pools" }, heads(), few.map(drawRow)) : null,
    few.length < rows.length ? h("p", { class: "small" }, `and ${plural(rows.length - few.length, "more pool")}, of which there is nothing to tell.`) : null,
    notes.length ? h("div", { class: "now-notes" }, notes) : null,
  );
}

/** Whether load that is shown here was made up: what plans expect, or even what is "measured". */
function madeUp(bases) {
  const words = [...new Set(bases.filter((basis) => basis.includes("synthetic")))];
  if (!words.length) return null;
  const measured = words.some((basis) => basis.includes("meter (synthetic)"));
  return [" ", h("span", { class: "badge synthetic", title: `${words.join("; ")}.` }, measured ? "SYNTHETIC" : "SYNTHETIC MEDIAN AND QUANTILE"),
    measured ? h("small", {}, " made up, and not measured") : null];
}

/** What is to be said of a pool; null where it has no real-time load and nothing is amiss. */
function rowOf({ site, pool, count, holds }, plan, facts, t) {
  const slot = plan?.slots.find((row) => row.site === site.name && row.pool === pool && ms(row.start) <= t && t < ms(row.end)) ?? null;
  const there = holds?.available_accelerators ?? count;
  const sample = ms(holds?.last_sample_at ?? null);
  const load = sample === null ? null : holds.realtime_accelerators;
  const measured = sample === null ? null : (holds.measured_accelerators ?? null);
  const age = sample === null ? null : (t - sample) / 1000;
  const row = { place: { site: site.name, pool }, quantile: site.quantile, count, there, measured, counts: holds?.realtime_accelerators, age, load, slot, tone: "", said: [] };
  if (holds) tell(row, holds, sample, facts, t);
  if (!row.said.length && load === null && !(slot?.reserved > ROUNDING)) return null;
  row.worst = row.said.length * 2 + ({ bad: 9, warn: 4 }[row.tone] ?? 0) + (count > 0 ? Math.min(1, (load ?? 0) / count) : 0);
  return row;
}

/** Sentences, the worst first; `tone` is of the load alone. */
function tell(row, holds, sample, facts, t) {
  const { load, slot, there, count } = row;
  const over = (held) => load !== null && load > held + ROUNDING;
  const say = (tone, ...words) => row.said.push(h("span", { class: tone }, words));
  if (over(there)) say((row.tone = "bad"), `Needs ${figure(load - there)} accelerators more than there are.`);
  else if (slot && over(slot.reserved)) say((row.tone = "bad"), `${figure(load - slot.reserved)} more than is reserved.`);
  else if (slot && over(slot.realtime_q)) say((row.tone = "warn"), "Above its quantile, within what is reserved.");
  if (there < count) say("bad", `${num(count - there)} of ${plural(count, "accelerator")} ${count - there === 1 ? "is" : "are"} not there.`);
  if (holds.yielded_accelerators > 0) say("", ...yieldWords(row, holds, facts, t));
  else lately(row, facts, t, say);
  if (sample !== null && holds.stale) {
    row.tone ||= "warn";
    say("warn", `Stale: not measured for ${duration(row.age)}. The larger of the last measured and the plan's quantile counts.`);
  }
}

/** How much yields, to what, whose it is, and whose deadline that endangers. */
function yieldWords({ place, load, slot, there, count }, holds, { guard, limits }, t) {
  const told = guard.find((e) => e.data.site === place.site && e.data.pool === place.pool)?.data;
  const known = told?.yielded_accelerators === holds.yielded_accelerators ? told : null;
  const limited = limits.some((e) => e.site === place.site && ms(e.start) <= t && t < ms(e.end));
  const to = [
    load !== null && slot && load > slot.realtime_q + ROUNDING ? "real-time load" : null,
    there < count ? "the loss" : null,
    limited ? "the power limit" : null,
  ].filter(Boolean);
  return [h("b", {}, `Deferrable work yields ${plural(holds.yielded_accelerators, "accelerator")}`), to.length ? ` to ${to.join(" and ")}` : null,
    whose(known?.workloads ?? {}), known?.drill ? " (a drill)." : ".",
    known?.endangered?.length ? h("b", { class: "bad" }, ` ${known.endangered.slice(0, 3).join(", ")} may be late.`) : null];
}

/** By workload, how many accelerators it leaves. */
function whose(workloads) {
  const who = Object.entries(workloads);
  const link = (id) => h("a", { href: `${api.root}/workloads/${encodeURIComponent(id)}` }, id);
  const names = who.slice(0, 4).flatMap(([id, n], i) => [i ? ", " : ": ", link(id), ` (${num(n)})`]);
  return [names, who.length > 4 ? ` and ${who.length - 4} more` : null];
}

/** What yielded here a while ago, and does no more: it may return, or a plan has found other slots for it. */
function lately({ place }, { guard }, t, say) {
  const here = guard.filter((e) => e.data.site === place.site && e.data.pool === place.pool);
  const told = here.find((e) => e.kind === "guard.yielded");
  if (!told || t - ms(told.at) > LATELY_MS) return;
  say("", `Work yielded ${plural(told.data.yielded_accelerators, "accelerator")} at ${clock(ms(told.at))}`, whose(told.data.workloads ?? {}), told.data.drill ? " (a drill)" : null,
    here[0].data.by === "plan" ? "; a new plan has taken over." : here[0].data.by === "load" ? "; it has returned." : "; none yields now.");
}

const COLUMNS = [["measured", (row) => row.measured], ["counts", (row) => row.counts], ["median", (row) => row.slot?.realtime_p50], ["quantile", (row) => row.slot?.realtime_q],
  ["reserved", (row) => row.slot?.reserved], ["there", (row) => row.there]];
const TITLES = {
  measured: ({ age }) => (age === null ? null : `the last sample, ${duration(age)} ago`),
  counts: () => "the highest measured of late; where no meter tells, no less than the plan's quantile",
  quantile: ({ quantile }) => `${percent(quantile)} of the time no more is expected`,
};

const heads = () => h("li", { class: "now-pool now-heads", "aria-hidden": "true" }, h("span"), h("span"), COLUMNS.map(([name]) => h("small", {}, name)));

function drawRow(row) {
  const { place, tone, said } = row;
  return h("li", { class: `now-pool ${tone && `is-${tone}`}`, data: { pool: `${place.site}/${place.pool}` } },
    h("span", { class: "now-name" }, h("b", {}, place.site), h("small", {}, ` ${place.pool}`)),
    bullet(row),
    COLUMNS.map(([name, value]) => {
      const shown = value(row) ?? null;
      return h("span", { class: `now-figure now-${name}${name === "there" && row.there < row.count ? " bad" : ""}`, title: TITLES[name]?.(row) ?? null },
        h("small", { class: "now-label" }, name), shown === null ? h("small", {}, name === "measured" ? "no meter" : "–") : h("b", {}, name === "there" ? num(shown) : figure(shown)), name === "measured" && shown !== null ? h("small", {}, ` ${duration(Math.max(0, row.age))} ago`) : null);
    }),
    said.length ? h("p", { class: "now-said" }, said.flatMap((one, i) => [i ? " " : null, one])) : null);
}

/** The load against what is held, on the length of the pool. */
function bullet({ place, measured, load, slot, there, count }) {
  const whole = Math.max(count, load ?? 0, 1);
  const at = (x) => `${Math.min(100, (100 * x) / whole).toFixed(2)}%`;
  const words = [
    load === null ? "not measured" : `${figure(measured)} accelerators measured, ${figure(load)} count`,
    slot ? `${figure(slot.realtime_p50)} expected, ${figure(slot.realtime_q)} at the quantile, ${figure(slot.reserved)} reserved` : "no plan",
    `${num(there)} of ${num(count)} there`,
  ];
  const part = (name, from, to) => (to - from > ROUNDING ? h("i", { class: name, style: { left: at(from), width: at(to - from) } }) : null);
  return h("span", { class: "now-bar", role: "img", "aria-label": `${place.site}/${place.pool}: ${words.join(", ")}.` },
    slot ? [part("layer-headroom", 0, slot.realtime_q), part("layer-margin", slot.realtime_q, slot.reserved)] : null,
    part("now-lost", there, count),
    load === null ? null : part("now-load", 0, load),
    slot ? h("i", { class: "now-median", style: { left: at(slot.realtime_p50) } }) : null);
}

function legend(rows) {
  const kinds = [["now-load", "load that counts"], ["now-median", "median of the plan"], ["layer-headroom", "up to its quantile"], ["layer-margin", "reserved for failures"]];
  if (rows.some((row) => row.there < row.count)) kinds.push(["now-lost", "not there"]);
  return h("ul", { class: "kinds" }, kinds.map(([name, text]) => h("li", {}, h("span", { class: `swatch ${name}` }), text)));
}

/** As many decimals as it has, three at most. */
const short = (x) => String(Number(x.toFixed(3)));

function note(key, title, items) {
  return items.length ? h("section", { data: { note: key } }, h("h3", {}, title), h("ul", { class: "items" }, items)) : null;
}

/** When a window is, in words. */
const when = (start, end, t) => (ms(start) <= t
  ? [h("b", { class: "warn" }, "now"), `, until ${ms(end) - t < 72e6 ? clock(ms(end)) : moment(ms(end))}`]
  : span(ms(start), ms(end)));

function limits(events, plan, t) {
  return note("limits", "Power limits from the grid", events.map((e) => {
    const ofSite = (plan?.power ?? []).filter((row) => row.site === e.site);
    const kw = (rows) => rows.map((row) => row.limit_kw ?? Infinity);
    const inIt = kw(ofSite.filter((row) => ms(row.start) < ms(e.end) && ms(row.end) > Math.max(t, ms(e.start))));
    const [least, most] = [Math.min(...inIt), Math.max(...inIt)];
    const known = least < Math.max(...kw(ofSite)); // else the plan was made before it
    const range = figure(least) === figure(most) || !Number.isFinite(most) ? figure(least) : `${figure(least)} to ${figure(most)}`;
    const asked = Number.isFinite(e.limit_kw) ? `at most ${num(e.limit_kw)} kW`
      : `${e.cut_kw ? `${figure(e.cut_kw)} kW` : percent(e.cut_ratio)} less${known ? `: at most ${range} kW` : ""}`;
    return h("li", {}, h("b", {}, e.site), ` ${asked}, `, when(e.start, e.end, t), h("small", {}, `  ${e.source}`));
  }));
}

function announced(list, t) {
  return note("announced", "Announced real-time load", list.map((a) => {
    const more = [a.factor === 1 ? null : `× ${short(a.factor)}`, a.added_accelerators ? `+ ${short(a.added_accelerators)} accelerators` : null].filter(Boolean).join(" ");
    const where = [a.site, a.pool].filter(Boolean).join("/") || "everywhere";
    return h("li", {}, h("b", {}, a.name), ` ${more}, ${where}, `, when(a.start, a.end, t), a.heeded ? null : h("span", { class: "bad" }, " not held"));
  }));
}

let unfolded = false; // by the reader: so it stays when it is drawn again

/** What real-time load is promised, and what that costs: by the plan; of sites by themselves, where it does not say, by its prices. */
function promises(plan, worth) {
  const broken = notKept(plan);
  const every = plan?.resilience?.promises ?? worth?.sites.flatMap((site) => site.promises) ?? [];
  const kept = every.filter((one) => !broken.includes(one));
  const sentence = ({ text }) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
  const lines = kept.map((one) => h("li", {}, sentence(one)));
  const fold = () => h("li", {}, h("details", { open: unfolded, ontoggle: ({ target }) => { unfolded = target.open; } },
    h("summary", {}, inAll(kept, plan.currency)), h("ul", { class: "items" }, lines)));
  return note("promises", "What real-time load is promised", [
    ...broken.map((one) => h("li", { class: "bad" }, h("b", {}, "Not kept: "), sentence(one))),
    ...(lines.length > MOST_PROMISES ? [fold()] : lines),
  ]);
}

function inAll(kept, currency) {
  const costs = kept.map((one) => one.cost_per_day ?? one.per_day ?? null);
  const [dearest, unknown] = [Math.max(...costs), costs.filter((cost) => cost === null).length];
  const said = dearest < 0.005 ? "none costs money" : `the dearest costs ${money(dearest, currency)} a day`;
  return `${kept.length} promises: ${said}${unknown ? `, of ${unknown} it is not known` : ""}`;
}
