// The top of both pages: how it does, what time it is for the daemon, what is simulated or made up, how old the plan is.

import { $, h, replace, say } from "./dom.js";
import { root } from "./api.js";
import { clockSeconds, day, duration, figure, localZone, ms, percent, plural, setZone, shownZone, zoneName } from "./format.js";
import { axis } from "./timeaxis.js";
import { notKept } from "./words.js";

const WORDS = { ok: "OK", degraded: "Degraded", failing: "Failing" };

/** Draw it; `redraw` is called when the reader chose another time zone. */
export function drawHeader({ status, plan, now, redraw }) {
  drawState(status);
  drawBadges(status, plan);
  drawClock(status, now, redraw);
  drawSubline(status, plan, now);
  drawBanner(status, now);
}

function drawState({ health, connected }) {
  const node = $("state");
  if (connected === false) {
    node.className = "state failing";
    say(node, "lost", () => h("b", {}, "No connection"));
    return;
  }
  if (!health) return;
  node.className = `state ${health.status}`;
  const word = WORDS[health.status] ?? health.status;
  const faults = faultsOf(health);
  const words = faults.length ? faults : [standing(health)].filter(Boolean);
  say(node, [health.status, ...words].join("\n"), () => (folds(faults) ? folded(word, faults) : [h("b", {}, word), words.length ? ` ${words[0]}` : ""]));
}

/** Whether so much is wrong that it would push the page off a small screen. */
const folds = (faults) => faults.length > 1 || faults.some((fault) => fault.length > 120);

/** The first fault, cut off after a few lines; all of all of them when it is opened. */
const folded = (word, [first, ...others]) => h("details", {},
  h("summary", {}, h("b", {}, others.length ? `${word}: ${others.length + 1} faults` : word), ` ${first}`),
  h("ul", {}, others.map((fault) => h("li", {}, fault))));

/** Why it is not ok. */
function faultsOf(health) {
  const faults = [...(health.faults ?? [])].map((f) => (typeof f === "string" ? f : (f.text ?? f.detail ?? JSON.stringify(f))));
  if (health.database && health.database !== "ok") faults.unshift("the database cannot be reached");
  for (const source of health.sources ?? []) {
    if (source.up === false && !faults.some((f) => f.includes(source.name))) faults.push(`source ${source.name}: ${source.error || "does not answer"}`);
  }
  return faults;
}

/** What "ok" stands on. */
function standing(health) {
  if (health.status !== "ok") return "";
  const n = (health.sources ?? []).length;
  return n ? `plan is current, ${n === 1 ? "its source answers" : `all ${n} sources answer`}` : "plan is current";
}

function drawBadges({ health }, plan) {
  const broken = notKept(plan);
  const list = broken.length
    ? [h("a", { class: "badge promises", href: `${root}/#now-title`, title: broken.map((one) => one.text).join("; ") }, `${plural(broken.length, "promise is", "promises are")} not kept`)]
    : [];
  if (health?.simulated_clock) {
    list.push(h("span", { class: "badge simulated", title: "This clock does not show the time of day outside." }, `SIMULATED CLOCK ×${Number(health.speed.toFixed(2))}`));
  }
  if (health?.synthetic || plan?.synthetic) {
    list.push(h("span", { class: "badge synthetic", title: "Prices and carbon are made up from typical days. They are not the real grid." }, "SYNTHETIC DATA"));
  }
  replace($("badges"), list);
}

function drawClock({ connected }, now, redraw) {
  const node = $("clock");
  if (!node.firstChild) {
    const toggle = h("button", { type: "button", class: "quiet zone", onclick: () => { setZone(shownZone() === "UTC"); redraw(); } });
    node.append(h("time", { class: "utc" }), h("span", { class: "local" }), toggle);
  }
  const t = now();
  const [utc, local, toggle] = node.children;
  utc.dateTime = new Date(t).toISOString();
  utc.textContent = `${day(t, "UTC")} ${clockSeconds(t, "UTC")} UTC`;
  local.textContent = localZone === "UTC" ? "" : `${clockSeconds(t, localZone).slice(0, 5)} ${zoneName(t, localZone)}`;
  toggle.hidden = localZone === "UTC";
  toggle.textContent = `Times in ${shownZone() === "UTC" ? "UTC" : zoneName(t)}`;
  toggle.title = `Show times in ${shownZone() === "UTC" ? localZone : "UTC"}`;
  node.classList.toggle("stopped", connected === false);
  axis.now = t;
}

/** How a plan was made, which is no claim of how good it is: that is the gap's to say. */
const MADE = {
  optimal: "program solved whole",
  rounded: "program solved whole, some work placed at its prices",
  held: "what was announced stands",
  coarse: "by the prices of a coarser program",
  greedy: "without a solver, by price order",
};

function drawSubline({ health }, plan, now) {
  const node = $("subline");
  if (!plan) {
    replace(node, health ? h("span", {}, "No plan yet: the first one is being made.") : null);
    return;
  }
  const age = (now() - ms(plan.created_at)) / 1000;
  const next = ms(health?.next_replan_at ?? null);
  const cycle = health?.last_cycle;
  const failed = cycle && cycle.outcome !== "published" ? h("span", { class: "bad" }, `the last cycle was ${cycle.outcome}${cycle.error ? `: ${cycle.error}` : ""}`) : null;
  replace(node,
    h("span", {}, "Plan ", h("code", {}, short(plan.plan_id)), ` made ${duration(Math.max(0, age))} ago`),
    next ? h("span", {}, `next in ${duration(Math.max(0, (next - now()) / 1000))}`) : null,
    h("span", {}, gapWords(plan)),
    cycle?.duration_s ? h("span", {}, `planned in ${figure(cycle.duration_s)} s`) : null,
    failed,
    (plan.warnings ?? []).filter((w) => !w.includes("synthetic")).slice(0, 1).map((w) => h("span", { class: "warn" }, w)),
  );
}

const short = (id) => (id.length > 14 ? `${id.slice(0, 10)}…` : id);

/** How good the plan is, by the bound that proves it. */
export function gapWords(plan) {
  const made = MADE[plan.status] ?? String(plan.status).replaceAll("_", " ");
  if (!Number.isFinite(plan.relative_gap) || plan.lower_bound === null) return `no bound proven (${made})`;
  const gap = plan.relative_gap < 1e-9 ? "proven the best possible" : `within ${percent(Math.ceil(plan.relative_gap * 1e4) / 1e4)} of the best possible`;
  return `${gap}${standsOn(plan)} (${made})`;
}

/** What is proven is so by the prices that a plan stands on: where there are none, that is said. */
function standsOn({ power }) {
  const known = power.filter((row) => Number.isFinite(row.price_per_mwh)).length;
  if (known === power.length) return "";
  return known === 0 ? " without prices" : " by the prices that are known";
}

function drawBanner({ connected, asOf, problem }, now) {
  const node = $("banner");
  const at = asOf ?? now();
  if (connected === false) {
    node.hidden = false;
    const known = asOf === null ? " The daemon does not answer." : ` Data as of ${day(at, "UTC")} ${clockSeconds(at, "UTC")} UTC.`;
    say(node, known, () => [h("b", {}, "Connection lost."), known,
      " Running work follows its last slots until its lease ends. Trying again …"]);
  } else if (problem) {
    node.hidden = false;
    const waiting = problem.status === 503;
    say(node, problem.message, () => [h("b", {}, waiting ? "Not ready yet." : "Something went wrong."), ` ${problem.message}`, problem.hint ? ` ${problem.hint}` : ""]);
  } else {
    node.hidden = true;
  }
}
