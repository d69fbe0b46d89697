// What shifting brought, next to running everything at once; said as plainly when it brought nothing.

import { h, replace } from "./dom.js";
import { carbon, figure, money, num, percent, plural } from "./format.js";

/** The four cards. `sums` is `savings()` of the model. */
export function drawSavings(host, sums, plan) {
  const cash = (x) => money(x, plan.currency);
  const unlike = sums.undoneHoursNow > 0.05
    ? h("span", { class: "line warn" }, `not like for like: at once, ${figure(sums.undoneHoursNow)} accelerator-hours would not be done`)
    : null;
  replace(host,
    card("Cost", {
      ...verdict(sums.cost, cash),
      lines: [shares(sums.deferrableCost, sums.cost, cash, "costs", "the whole bill"), madeOf(plan.cost, cash), uncertain(plan, cash), unlike],
      bars: bars(sums.cost, cash),
      note: plan.synthetic ? "synthetic prices" : null,
    }),
    card("Carbon", {
      ...verdict(sums.carbon, carbon),
      lines: [shares(sums.deferrableCarbon, sums.carbon, carbon, "emits", "all emissions")],
      bars: bars(sums.carbon, carbon),
      note: plan.synthetic ? "synthetic carbon" : null,
    }),
    deadlines(sums),
    card("Peak import", {
      big: `${num(sums.peak.plan)} kW`,
      tone: tone(sums.peak.plan - sums.peak.now, 0.5),
      small: peakWords(sums.peak),
      lines: [h("span", { class: "line" }, "the highest mean of a slot, all sites together")],
      bars: bars(sums.peak, (x) => `${num(x)} kW`),
    }),
  );
}

const ITEMS = { energy: "energy", carbon: "carbon at its price", demand_charge: "demand charge", battery_wear: "battery wear", generation: "own generation", export: "export" };

/** The items of the plan's bill that are in use; a new one is called by its name. */
export function costItems(cost) {
  return Object.entries({ ...cost, ...cost.further }).filter(([key, amount]) => key !== "total" && Math.abs(amount) >= 0.005)
    .map(([key, amount]) => [ITEMS[key] ?? key.replaceAll("_", " "), amount]);
}

function madeOf(cost, cash) {
  const items = costItems(cost);
  return items.length ? h("span", { class: "line", data: { items: "cost" } }, "planned: ",
    items.flatMap(([name, amount], i) => [i ? ", " : "", h("span", { class: "item" }, `${name} ${cash(amount)}`)])) : null;
}

/** What the plan may come to where prices are uncertain, which is what was minimised in place of its cost. */
function uncertain({ risk }, cash) {
  if (!risk) return null;
  const words = risk.measure === "quantile"
    ? `planned for prices at which it costs ${cash(risk.tail)}`
    : `over ${num(risk.paths.length)} paths of prices: ${cash(risk.expected)} expected, ${cash(risk.tail)} in the worst ${percent(1 - risk.level)}, ${cash(risk.worst)} at worst`;
  return h("span", { class: "line", data: { risk: risk.measure } }, words);
}

/** Difference as words: less, more, or none. */
function verdict({ plan, now }, write) {
  const difference = plan - now;
  const same = Math.abs(difference) < 0.005 || write(difference).replace(/[^1-9]/g, "") === "";
  return {
    big: same ? "no difference" : write(Math.abs(difference)),
    small: same ? "from running at once" : difference < 0 ? "less than at once" : "more than at once",
    tone: same ? "even" : tone(difference, 0),
  };
}

const tone = (difference, slack) => (difference < -slack ? "good" : difference > slack ? "worse" : "even");

/** What deferrable work brought of it, and what else the sites have: a battery, their own plant. */
function shares(part, whole, write, verb, wholeName) {
  const signed = ({ plan, now }) => {
    if (!(Math.abs(now) > 1e-9)) return null;
    const r = (plan - now) / Math.abs(now);
    return `${r < 0 ? "−" : r > 0 ? "+" : ""}${percent(Math.abs(r))}`;
  };
  const [a, b] = [signed(part), signed(whole)];
  const [byWork, byAll] = [part, whole].map(({ plan, now }) => plan - now);
  const said = (x) => `${write(Math.abs(x))} ${x < 0 ? "less" : "more"}`;
  const besides = Math.abs(byAll - byWork) >= 0.005
    ? h("span", { class: "line", data: { besides: verb } }, `${said(byWork)} by deferrable work, ${said(byAll - byWork)} by what else the sites have`)
    : null;
  return [
    besides,
    h("span", { class: "line" }, a ? [h("b", {}, a), ` of what deferrable work ${verb}`] : "no deferrable work in the plan"),
    b ? h("span", { class: "line" }, h("b", {}, b), ` of ${wholeName}`) : null,
  ];
}

function peakWords({ plan, now }) {
  if (!(now > 0)) return "all sites together";
  const r = (plan - now) / now;
  if (Math.abs(r) < 0.005) return "as at once";
  return `${percent(Math.abs(r))} ${r < 0 ? "lower" : "higher"} than at once`;
}

function deadlines({ deadlines: { met, all, late }, lateHoursNow, unplacedHours }) {
  const lines = [];
  const missed = late.filter((w) => w.state === "late").length;
  if (missed) lines.push(h("a", { href: "#trouble" }, `${plural(missed, "deadline")} passed with work left`));
  if (unplacedHours > 0.05) lines.push(h("a", { href: "#trouble" }, `${figure(unplacedHours)} accelerator-hours do not fit in time`));
  lines.push(lateHoursNow > 0.05 ? `Running the rest at once, ${figure(lateHoursNow)} accelerator-hours would be late` : "Running the rest at once, all would be in time too");
  return card("Deadlines", {
    big: all === 0 ? "none" : `${num(met)} of ${num(all)}`,
    small: all === 0 ? "no deferrable work" : met === all ? "will be met" : "will be met in full",
    tone: late.length ? "worse" : "even",
    lines: all === 0 ? [] : lines.slice(0, 2).map((l) => h("span", { class: "line" }, l)),
    bars: null,
    extra: all === 0 ? null : h("div", { class: "dots", role: "img", "aria-label": `${plural(met, "deadline")} met, ${late.length} not` },
      all <= 80
        ? Array.from({ length: all }, (_, i) => h("i", { class: i < met ? "met" : "missed" }))
        : h("div", { class: "split" }, h("i", { class: "met", style: { width: `${(met / all) * 100}%` } }))),
  });
}

function bars({ plan, now }, write) {
  const top = Math.max(plan, now, 1e-9);
  const bar = (name, value, cls) =>
    h("div", { class: "bar" }, h("span", {}, name), h("div", { class: "bar-track" }, h("i", { class: cls, style: { width: `${Math.max(0, (value / top) * 100).toFixed(1)}%` } })), h("b", {}, write(value)));
  return h("div", { class: "bars" }, bar("plan", plan, "plan"), bar("at once", now, "now"));
}

function card(title, { big, small, tone: mood, lines, bars: picture, note, extra }) {
  return h("article", { class: `card ${mood}`, data: { card: title.toLowerCase().split(" ")[0] } },
    h("h2", {}, title, note ? h("small", { class: "synthetic-word" }, ` ${note}`) : null),
    h("p", { class: "big" }, h("strong", {}, big), " ", h("span", {}, small)),
    picture, extra ?? null,
    lines.length ? h("p", { class: "lines" }, lines) : null,
  );
}
