// What the page says about a workload, in words; used by the Gantt's tooltip and labels and by the detail page.

import { duration, money, moment, ms, percent, plural, span } from "./format.js";

export const STATES = {
  accepted: "accepted, waits for the next plan",
  planned: "planned",
  running: "running",
  done: "done",
  cancelled: "cancelled",
  late: "late",
  real_time: "real-time, runs as it arrives",
};

export const stateWord = (state) => (STATES[state] ?? state).split(",")[0];

/** Whether its work cannot all be done in time, or was not. */
export const inTrouble = (row) =>
  row.view.state === "late" || (row.view.feasible === false && !["done", "cancelled"].includes(row.view.state));

/** Promises to real-time load that a plan cannot keep whole. */
export const notKept = (plan) => (plan?.resilience?.promises ?? []).filter((one) => one.missing_slots > 0);

/** "€0.40 less than at once (−32 %)", honest when it is more or the same. */
export function against(plan, now, currency) {
  if (!Number.isFinite(plan) || !Number.isFinite(now)) return null;
  const difference = plan - now;
  if (Math.abs(difference) < 0.005) return "the same as at once";
  const share = now >= 0.01 ? ` (${difference < 0 ? "−" : "+"}${percent(Math.abs(difference / now))})` : "";
  return `${money(Math.abs(difference), currency)} ${difference < 0 ? "less" : "more"} than at once${share}`;
}

/** One sentence on when and where. */
export function whenWhere(row) {
  if (row.view.class === "real_time") return "Real-time: it is never shifted; capacity is reserved for it.";
  if (row.pieces.length === 0) return row.view.note || "No slots in this plan.";
  const peak = Math.max(...row.blocks.map((b) => b.base + b.accelerators));
  const pieces = row.pieces.length;
  return `${span(row.start, row.finish)} on ${row.sites.join(" and ")}, up to ${plural(peak, "accelerator")}` +
    (pieces > 1 ? ` in ${pieces} pieces.` : ".");
}

/** How it stands to its deadline. */
export function dueWords(row) {
  if (row.due === null) return "no deadline";
  const spare = row.finish === null ? null : (row.due - row.finish) / 1000;
  if (spare === null || spare < 0) return `due ${moment(row.due)}`;
  return `due ${moment(row.due)}, ${spare < 60 ? "just in time" : `${duration(spare)} to spare`}`;
}

/** Everything a screen reader is told about a row. */
export function rowLabel(row, currency) {
  const cost = row.share ? against(row.share.cost, row.share.run_now_cost, currency) : null;
  return [`${row.id}, ${stateWord(row.view.state)}`, whenWhere(row), dueWords(row), cost].filter(Boolean).map((part) => part.replace(/\.$/, "")).join(". ");
}

const EVENT_WORDS = {
  "plan.published": "New plan",
  "plan.rejected": "A plan failed verification; the last good one stays",
  "cycle.failed": "Planning failed; the last good plan stays",
  "workload.accepted": "Accepted",
  "workload.cancelled": "Cancelled",
  "workload.done": "Done",
  "workload.late": "Late",
  "admission.changed": "Admission changed",
  "grid_event.created": "Power limit from the grid",
  "grid_event.changed": "Power limit from the grid changed",
  "grid_event.withdrawn": "Power limit from the grid withdrawn",
  "grid.notice": "Notice from the grid",
  "forecast.ingested": "Forecast received",
  "forecast.rejected": "Forecast refused",
  "source.failed": "Source failed",
  "source.recovered": "Source answers again",
  "telemetry.stale": "Telemetry is stale",
  "guard.yielded": "Work yields",
  "guard.returned": "Work returns",
  "guard.freed": "Work has stopped",
  fault: "Fault",
};
const BAD = new Set(["plan.rejected", "cycle.failed", "workload.late", "forecast.rejected", "source.failed", "telemetry.stale", "fault"]);

const TAKEN_OVER = "Work yielded; a new plan has taken over"; // it did not return
export const eventWord = (kind, data) => (kind === "guard.returned" && data?.by === "plan" ? TAKEN_OVER : EVENT_WORDS[kind] ?? kind);
export const isBad = (kind) => BAD.has(kind);

/** What an event is about: an id, a name, a reason. */
export function eventDetail(event) {
  const d = event.data ?? {};
  const place = [d.site, d.pool].filter(Boolean).join("/");
  const subject = d.workload_id ?? d.id ?? d.source ?? d.name ?? d.plan_id ?? place;
  const more = d.error ?? d.detail ?? d.reason ?? d.state ?? d.zone ?? (d.drill === true ? "a drill" : "");
  return { subject: String(subject), more: typeof more === "string" ? more : "", workload: d.workload_id ?? null, at: ms(event.at) };
}
