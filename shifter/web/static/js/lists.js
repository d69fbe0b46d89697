// The lists below the charts: what cannot be done in time, where the forecasts come from, what happened lately.

import { h, replace } from "./dom.js";
import { clock, day, duration, figure, moment, ms, plural } from "./format.js";
import { root } from "./api.js";
import { eventDetail, eventWord, inTrouble, isBad } from "./words.js";

const link = (id) => h("a", { href: `${root}/workloads/${encodeURIComponent(id)}` }, id);

/** What is in the way of work that does not fit, and what one more of it would do: the two that would help most. */
export const limitWords = (unplaced) => (unplaced?.limits ?? []).slice(0, 2).map((limit) => h("p", { class: "small limit" }, limit.text));

/** Late and unplaced work, with the reason and a way out. */
export function drawTrouble(host, rows) {
  const list = rows.filter(inTrouble);
  replace(host, h("h2", { id: "trouble-title" }, "Late or unplaced", list.length ? h("span", { class: "count bad" }, list.length) : null),
    list.length === 0
      ? h("p", { class: "empty" }, "Nothing: every deadline can be met.")
      : h("ul", { class: "items" }, list.map((row) => {
          const hours = row.unplaced?.accelerator_hours ?? row.view.unplaced_accelerator_hours;
          const better = ms(row.unplaced?.earliest_feasible_deadline ?? row.view.earliest_feasible_deadline);
          return h("li", {}, h("div", {}, link(row.id), row.view.state === "late" ? h("span", { class: "bad" }, " late") : null,
            hours > 0 ? `  ${figure(hours)} accelerator-hours short` : "", h("small", {}, `  due ${moment(row.due)}`)),
            h("p", {}, row.unplaced?.reason ?? row.view.note),
            limitWords(row.unplaced),
            row.view.state === "late" ? null : h("p", { class: "way-out" }, better ? `A deadline of ${moment(better)} would work.` : "No deadline within the horizon would work."));
        })));
}

/** Sources by health, ages and attributions by the forecasts in use. */
export function drawSources(host, { health, forecasts, now }) {
  const used = new Map();
  for (const signal of forecasts?.signals ?? []) {
    for (const run of signal.provenance) {
      if (!run.source) continue;
      const entry = used.get(run.source) ?? used.set(run.source, { zones: new Set(), signals: new Set(), known: null, notes: new Set(), synthetic: false }).get(run.source);
      entry.zones.add(signal.zone);
      entry.signals.add(signal.signal);
      entry.known = Math.max(entry.known ?? 0, ms(run.known_at) ?? 0);
      if (run.attribution) entry.notes.add(run.attribution);
      entry.synthetic ||= run.kind === "synthetic";
    }
  }
  const names = [...new Set([...(health?.sources ?? []).map((one) => one.name), ...used.keys()])];
  const rows = names.map((name) => {
    const one = (health?.sources ?? []).find((x) => x.name === name);
    const use = used.get(name);
    const fresh = ms(one?.last_success_at) ?? use?.known;
    return h("li", {},
      h("div", {}, h("span", { class: `dot ${one?.up === false ? "trouble" : "state-running"}` }), h("b", {}, name),
        use?.synthetic ? h("span", { class: "badge synthetic" }, "SYNTHETIC") : null,
        h("small", {}, one?.up === false ? ` fails (${plural(one.failures ?? 1, "time")} in a row)` : one ? " answers" : " in use")),
      h("p", {}, use ? `${[...use.signals].sort().reverse().join(" and ")} of ${[...use.zones].join(", ")}` : `zones ${(one?.zones ?? []).join(", ") || "–"}, not in use now`,
        fresh ? `, ${duration(Math.max(0, (now - fresh) / 1000))} old` : ", nothing received yet"),
      one?.error ? h("p", { class: "bad" }, one.error) : null,
      [...(use?.notes ?? [])].map((note) => h("p", { class: "small" }, note)));
  });
  replace(host, h("h2", { id: "sources-title" }, "Forecast sources"),
    rows.length ? h("ul", { class: "items" }, rows) : h("p", { class: "empty" }, "No source has said anything yet."),
    (forecasts?.warnings ?? []).filter((w) => !w.includes("synthetic")).slice(0, 4).map((w) => h("p", { class: "warn small" }, w)));
}

/** What happened, newest first; runs of the same kind are one line. */
export function drawEvents(host, events) {
  const lines = [];
  for (const event of events) {
    const last = lines[lines.length - 1];
    if (last && eventWord(last.kind, last.data) === eventWord(event.kind, event.data) && last.more < 200) last.more += 1;
    else lines.push({ ...event, more: 0 });
  }
  replace(host, h("h2", { id: "events-title" }, "Recent events"),
    lines.length === 0
      ? h("p", { class: "empty" }, "Nothing since this page was opened.")
      : h("ol", { class: "items events" }, lines.slice(0, 14).map((event) => {
          const { subject, more, workload, at } = eventDetail(event);
          return h("li", { class: isBad(event.kind) ? "bad" : null },
            h("time", { title: at ? moment(at) : "", ...(at ? { datetime: new Date(at).toISOString() } : {}) }, at ? `${day(at).slice(0, 3)} ${clock(at)}` : ""),
            h("span", {}, eventWord(event.kind, event.data), " ", workload ? link(workload) : h("code", {}, subject.slice(0, 24)),
              event.more ? h("small", {}, ` and ${event.more} before it`) : null, more ? h("small", {}, ` ${more}`) : null));
        })));
}
