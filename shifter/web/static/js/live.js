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
const RECALL_MS = 1000; // what happened is asked for before what is, so that nothing between is lost; but not for longer

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
  let stream = null;
  let newest = null; // id of the newest event that is known; 0: there was none yet
  let recalled = null;
  let behind = true; // what is shown may be older than where the stream begins

  function now() {
    const base = ms(status.health?.now) ?? Date.now();
    if (status.connected === false) return base;
    return base + (performance.now() - heard) * (status.health?.speed ?? 1);
  }

  async function readHealth() {
    const health = await api.health();
    const anew = status.health?.started_at !== health.started_at;
    heard = performance.now();
    status.health = health;
    status.connected = true;
    if (anew) { // another database may stand behind it, whose events are numbered from 1
      [status.events, newest] = [[], null];
      recalled = recall();
    }
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
      await Promise.race([recalled, new Promise((done) => setTimeout(done, RECALL_MS))]);
      behind = newest === null;
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
    newest = Math.max(newest ?? 0, event.id);
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

  /** From the newest event that is known on, so that what happens before it begins is not lost. */
  function listen() {
    stream = new EventSource(`${api.root}/v1/events${newest === null ? "" : `?after=${newest}`}`);
    for (const kind of [...KINDS, "message"]) stream.addEventListener(kind, hear);
    stream.onopen = () => {
      if (behind || status.connected === false) schedule();
    };
    stream.onerror = () => {
      poll(); // only health decides: a proxy may end a long stream while the daemon is well
      if (stream.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS);
    };
  }

  async function recall() {
    try {
      for (const event of await api.recentEvents(30)) remember(event);
      newest ??= 0;
      show(data, status, { light: true });
    } catch {
      // The stream then tells what happens from now on, and what is shown is loaded anew once it has begun.
    }
  }

  refresh().then(() => recalled).then(listen);
  addEventListener("pagehide", () => stream?.close());
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    behind = true;
    listen();
  });
  setInterval(poll, POLL_MS);
  setInterval(() => {
    if (status.connected === false) poll();
  }, RETRY_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) poll();
  });
  return { now, refresh, status: () => status };
}
