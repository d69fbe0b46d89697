// Budgets and tenants: how much of what is limited is used, by whom, and what one more of it would save.

import { h, replace } from "./dom.js";
import { figure, num, percent, price } from "./format.js";
import { tableToggle } from "./table.js";

const MOST_TENANTS = 12;
const FULL = 1 - 1e-6;

/** Three figures, but whole numbers whole. */
const amount = (x) => (Math.abs(x - Math.round(x)) < 1e-6 ? num(x) : figure(x));
const saves = (x, currency) => (x > 0 ? `would save ${price(x, currency)}.` : "would save nothing.");

/** Two panels, of which only those are shown that the plan has something for. */
export function drawLimited(host, plan) {
  const panels = [budgets(plan), tenants(plan)].filter(Boolean);
  host.hidden = panels.length === 0;
  replace(host, panels);
}

function budgets({ budgets: rows = [], currency }) {
  if (!rows.length) return null;
  const columns = ["budget", "unit", "used", "limit", `one more saves [${currency}]`];
  return panel("budgets", "Budgets", "used of the limit, in the plan's horizon", () => ({ name: "budgets", columns, rows: rows.map((b) => [b.name, b.unit, b.used, b.limit, b.price]) }),
    rows.map((b) => item(
      [h("b", {}, b.name)],
      [`${amount(b.used)} of ${amount(b.limit)} ${b.unit}`, b.used, b.limit],
      b.price === null ? "What one more would save is not known: no program was solved." : `One more ${b.unit.split(" ")[0]} ${saves(b.price, currency)}`,
    )));
}

function tenants({ tenants: rows = [], currency }) {
  if (!rows.length) return null;
  const lateFirst = [...rows].sort((a, b) => b.short_accelerator_hours - a.short_accelerator_hours || a.tenant.localeCompare(b.tenant));
  const fields = Object.keys(rows[0]);
  return panel("tenants", "Tenants", rows.some((t) => t.quota_accelerators !== null) ? "the most that is held of the quota in any slot" : "", () => ({ name: "tenants", columns: fields.map((f) => f.replaceAll("_", " ")), rows: rows.map((t) => fields.map((f) => t[f])) }),
    lateFirst.slice(0, MOST_TENANTS).map((t) => item(
      [h("b", {}, t.tenant), h("small", {}, ` weight ${t.weight}`)],
      t.quota_accelerators === null ? null : [`${amount(t.used_accelerators)} of ${amount(t.quota_accelerators)} accelerators`, t.used_accelerators, t.quota_accelerators],
      tenantWords(t, currency),
    )),
    rows.length > MOST_TENANTS ? h("p", { class: "small" }, `and ${rows.length - MOST_TENANTS} more, with no more late`) : null);
}

/** Whole sentences: what is late, what was borrowed, what fairness charges, what more of the quota would save. */
function tenantWords(t, currency) {
  const asked = t.asked_accelerator_hours;
  const late = t.short_accelerator_hours;
  return [
    late > 0.005
      ? [h("b", { class: "bad" }, `${amount(late)} of ${amount(asked)} accelerator-hours are late, ${percent(late / asked)}.`)]
      : `None of ${amount(asked)} accelerator-hours is late.`,
    t.over_quota_accelerator_hours > 0.005 ? ` ${amount(t.over_quota_accelerator_hours)} are beyond its quota, for ${price(t.over_quota_cost, currency)}.` : null,
    t.fairness_cost > 0 ? ` Fairness charges ${price(t.fairness_cost, currency)}.` : null,
    t.next_short_hour_cost > 0 ? ` Its next late hour would cost ${price(t.next_short_hour_cost, currency)}.` : null,
    t.quota_price === null ? null : ` One more accelerator of its quota ${saves(t.quota_price, currency)}`,
  ];
}

function panel(key, title, means, table, items, after = null) {
  return h("section", { class: "panel", "aria-labelledby": `${key}-title`, data: { panel: key } },
    h("div", { class: "block-head" }, h("h2", { id: `${key}-title` }, title), h("small", {}, means), h("span", { class: "spacer" }), tableToggle(table, key)),
    h("ul", { class: "items shares" }, items), after);
}

/** `part` of a `whole` as a bar with its words, and a line below. */
function item(name, used, line) {
  return h("li", {}, h("div", { class: "share" }, h("span", { class: "share-name" }, name), used ? bar(...used) : null), h("p", {}, line));
}

function bar(words, part, whole) {
  const ratio = whole > 0 ? part / whole : part > 0 ? 2 : 1;
  const state = ratio > 1 + 1e-6 ? "over" : ratio >= FULL ? "full" : "";
  const said = state === "over" ? "more than that" : state ? "all of it" : percent(ratio);
  return [
    h("span", { class: "bar-track", role: "img", "aria-label": `${words}, ${said}` }, h("i", { class: `plan ${state}`, style: { width: `${Math.min(100, 100 * ratio).toFixed(1)}%` } })),
    h("span", { class: "share-of" }, words, h("small", {}, ` ${said}`)),
  ];
}
