// What one more would be worth at each site, when, and where the next step is worth most.

import { h, replace, s, siteColour } from "./dom.js";
import { figure, money, moment, ms, num, plural, price } from "./format.js";
import { tableToggle } from "./table.js";

const MOST_STEPS = 4;
const WIDTH = 160;
const HEIGHT = 22;

const hours = (x) => `${Number(x.toFixed(1))} h`;

/** The panel into `host`; nothing where the daemon says nothing of it. */
export function drawValue(host, worth, sites) {
  host.hidden = !worth;
  if (!worth) {
    replace(host);
    return;
  }
  const index = new Map(sites.map((site) => [site.name, site.index]));
  replace(host,
    h("div", { class: "block-head" },
      h("h2", { id: "value-title" }, "What one more would be worth"),
      h("small", {}, "a day, at the most, by the prices of this plan’s limits; and when, over the plan"),
      h("span", { class: "spacer" }),
      tableToggle(() => table(worth), "value")),
    worth.notes.map((note) => h("p", { class: "small" }, note)),
    worth.sites.length === 0 ? null : h("div", { class: "worths" },
      worth.sites.map((site) => siteBlock(site, worth, siteColour(index.get(site.site) ?? 0)))),
    worth.sites.length === 0 ? null : steps(worth));
}

/** What one more may be of: its name, its worth, and whether that comes once and not by the day. */
function each(site) {
  const battery = site.new_battery ? "kWh of a new battery" : "kWh of battery";
  const limits = [["kW of power limit", site.kw, false], ["kW of peak", site.peak, true], [battery, site.battery, false]];
  const pools = site.pools.flatMap(({ pool, accelerator, held_back: held }) => [
    [`${pool} accelerator`, accelerator, false],
    [`${pool} no longer reserved`, held.bound_hours > 0 ? held : null, false],
  ]);
  return [...limits, ...pools].filter(([, one]) => one !== null);
}

function siteBlock(site, worth, colour) {
  return h("div", { class: "worth" },
    h("h3", {}, h("span", { class: "swatch", style: { background: colour } }), site.site),
    h("ul", {}, each(site).map(([name, one, once]) => {
      const idle = one.bound_hours === 0;
      const amount = once ? one.horizon : one.per_day;
      return h("li", { class: idle ? "idle" : "" },
        h("span", { class: "name" }, name),
        h("b", {}, price(amount, worth.currency), once ? h("small", {}, " once") : null),
        idle ? h("span", { class: "never" }, "never binds") : spark(one, worth, colour, name),
        h("span", { class: "hours" }, idle ? "" : hours(one.bound_hours)),
        one.late_accelerator_hours > 0 ? h("span", { class: "late" }, `and ${figure(one.late_accelerator_hours)} accelerator-hours of late work`) : null);
    })));
}

/** Its course over the plan: a filled step line, from zero. */
function spark(one, worth, colour, name) {
  const n = one.values.length;
  const high = Math.max(1e-12, ...one.values);
  const low = Math.min(0, ...one.values);
  const x = (i) => ((i / n) * WIDTH).toFixed(2);
  const y = (v) => (HEIGHT - 1 - ((v - low) / (high - low)) * (HEIGHT - 2)).toFixed(2);
  const path = one.values.map((v, i) => `${i ? "L" : "M"}${x(i)} ${y(v)}H${x(i + 1)}`).join("");
  const first = moment(ms(one.binds[0].start));
  const words = `${name}: binds for ${hours(one.bound_hours)}, first at ${first}.`;
  return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": words, style: { "--shade": colour } },
    s("title", {}, words),
    s("path", { class: "spark-area", d: `${path}V${y(0)}H0Z` }),
    s("line", { class: "spark-zero", x1: 0, x2: WIDTH, y1: y(0), y2: y(0) }),
    s("path", { class: "spark-line", d: path }));
}

function steps({ energise_next: list, currency }) {
  const amount = (step) => (step.kind === "power" ? `${num(step.amount)} kW more` : `${plural(step.amount, "accelerator")} like ${step.pool}`);
  return h("div", { class: "energise" },
    h("h3", {}, "Energise next"),
    list.length === 0 ? h("p", { class: "small" }, "No step is worth anything: no site is short of power or accelerators.") : null,
    h("ol", {}, list.slice(0, MOST_STEPS).map((step) => h("li", {},
      h("b", {}, step.site), `: ${amount(step)} would save at most `, h("b", {}, money(step.per_day, currency)), " a day",
      step.late_accelerator_hours > 0 ? ` and do ${figure(step.late_accelerator_hours)} accelerator-hours of late work` : "",
      h("small", {}, step.bound_hours > 0 ? `, short for ${hours(step.bound_hours)}` : "")))));
}

function table(worth) {
  const at = Date.parse(worth.slot_start);
  const series = worth.sites.flatMap((site) => each(site).map(([name, one]) => [site.site, name, one]));
  const rows = series.flatMap(([site, name, one]) =>
    one.values.map((value, i) => [at + i * worth.slot_minutes * 6e4, site, name, value]).filter(([, , , value]) => value !== 0));
  return { name: "value", columns: ["start", "site", "one more", `saves at most [${worth.currency}]`], rows };
}
