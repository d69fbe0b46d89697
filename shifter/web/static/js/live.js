// Keeps the page's data fresh: everything again after each event, health every few seconds, and an honest word when
// the daemon does not answer. What was last known stays on screen, with its time.

import * as api from "./api.js";
import { ms } from "./format.js";

const KINDS = [
  "plan.published", "plan.rejected", "cycle.failed", "workload.accepted", "workload.cancelled", "workload.done",
  "workload.late", "admission.changed", "grid_event.created", "grid_event.changed", "grid_event.withdrawn",
  "grid.notice", "forecast.ingested", "forecast.rejected", "source.failed", "source.recovered", "telemetry.stale",
  "guard.yielded", "guard.returned", "guard.freed", "fault",
]; // prettier-ignore
const SETTLE_MS = 250; // several events of one cycle are one refresh
const REST = 4; // and a refresh that took long is followed by a rest of so many times as long
const POLL_MS = 10000;
const RETRY_MS = 3000;
const KEEP_EVENTS = 60;

/**
 * `load()` fetches what the page needs and returns it; `show(data, status)` draws it. Returns an object with
 * `now()`, the daemon's clock in ms, which stands still while the daemon is gone, and `refresh()`.
 */
export function createLive({ load, show }) {
  const status = { connected: null, asOf: null, problem: null, health: null, events: [] };
  let data = null;
  let heard = 0; // performance.now() when health was read
  let pending = null;
  let busy = false;
  let again = false;
  let tookMs = 0;

  function now() {
    const base = ms(status.health?.now) ?? Date.now();
    if (status.connected === false) return base;
    return base + (performance.now() - heard) * (status.health?.speed ?? 1);
  }

  async function readHealth() {
    const health = await api.health();
    heard = performance.now();
    status.health = health;
    status.connected = true;
  }

  async function refresh() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    const began = performance.now();
    try {
      await readHealth();
      data = await load();
      status.problem = null;
      status.asOf = now();
    } catch (error) {
      if (error instanceof api.Unreachable) lose();
      else status.problem = error;
    } finally {
      busy = false;
    }
    show(data, status);
    tookMs = performance.now() - began;
    if (again) {
      again = false;
      schedule();
    }
  }

  function schedule() {
    pending ??= setTimeout(() => {
      pending = null;
      refresh();
    }, Math.max(SETTLE_MS, REST * tookMs));
  }

  function lose() {
    if (status.connected === false) return;
    if (status.health) status.health = { ...status.health, now: new Date(now()).toISOString() };
    status.connected = false;
    show(data, status);
  }

  async function poll() {
    if (document.hidden && status.connected !== false) return;
    const before = status.health?.plan_id;
    const lost = status.connected === false;
    try {
      await readHealth();
      if (lost || status.problem || status.health.plan_id !== before) schedule();
      else show(data, status, { light: true });
    } catch (error) {
      if (error instanceof api.Unreachable) lose();
    }
  }

  function remember(event) {
    if (status.events.some((e) => e.id === event.id && e.kind === event.kind)) return;
    status.events = [event, ...status.events].sort((a, b) => b.id - a.id).slice(0, KEEP_EVENTS);
  }

  function hear(message) {
    let body = {};
    try {
      body = JSON.parse(message.data);
    } catch {
      // An event without a body still says that something changed.
    }
    remember({
      id: Number(message.lastEventId || body.id || 0),
      at: body.at ?? null,
      kind: body.kind ?? message.type,
      data: body.data ?? body,
    });
    schedule();
  }

  /** From the newest event that is known on: what happens while the page loads, or between two streams, is not lost. */
  function listen() {
    const from = status.events.length ? `?after=${status.events[0].id}` : "";
    const stream = new EventSource(`${api.root}/v1/events${from}`);
    for (const kind of [...KINDS, "message"]) stream.addEventListener(kind, hear);
    stream.onopen = () => {
      if (status.connected === false) schedule();
    };
    stream.onerror = () => {
      poll(); // only health decides: a proxy may end a long stream while the daemon is well
      if (stream.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
    };
    addEventListener("pagehide", () => stream.close(), { once: true });
  }

  async function recall() {
    try {
      for (const event of await api.recentEvents(30)) remember(event);
    } catch {
      // What happened before is a convenience; the stream tells what happens from now on.
    }
  }

  recall().then(refresh).then(listen); // in this order: what comes after the newest event comes after the data, too
  setInterval(poll, POLL_MS);
  setInterval(() => {
    if (status.connected === false) poll();
  }, RETRY_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) poll();
  });
  return { now, refresh, status: () => status };
}
