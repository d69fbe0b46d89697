// The JSON API under /v1, read as any client reads it; every shape that the pages rely on is named here.

export const root = document.documentElement.dataset.root ?? "";

/** The daemon answered, and said no: problem+json. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? body?.title ?? `HTTP ${status}`);
    this.status = status;
    this.hint = body?.hint ?? null;
    this.code = body?.code ?? null;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {}

/** GET a path; `allow` lists statuses whose JSON body is an answer too (a failing /healthz says why with 503). */
export async function get(path, { allow = [] } = {}) {
  let answer;
  try {
    answer = await fetch(root + path, {
      headers: { Accept: "application/json" },
      cache: "no-cache",
      signal: AbortSignal.timeout(30000),
    });
  } catch (error) {
    throw new Unreachable(String(error?.message ?? error));
  }
  const body = await answer.json().catch(() => null);
  if (answer.ok || (allow.includes(answer.status) && body)) return body;
  throw new Problem(answer.status, body);
}

const item = (id) => `/v1/workloads/${encodeURIComponent(id)}`;

export const health = () => get("/healthz", { allow: [503] });
export const plan = () => get("/v1/plan");
/** What one more would be worth; null where the daemon does not say. */
export const value = () => get("/v1/value").catch((error) => {
  if (error instanceof Problem) return null;
  throw error;
});
export const workload = (id) => get(item(id));
export const explanation = (id) => get(`${item(id)}/explanation`);
export const lease = (id) => get(`${item(id)}/allocations`);
export const admission = (id) => get(`${item(id)}/admission`);

const OPEN = ["accepted", "planned", "running", "late", "real_time"];
const CLOSED = ["done", "cancelled"];
const PAGE = 1000;

/** Every open workload, and the newest of those that have ended. Newest first within a state. */
export async function workloads() {
  const lists = await Promise.all([...OPEN.map((state) => pages(state, 100)), ...CLOSED.map((state) => pages(state, 1, 200))]);
  const seen = new Map(lists.flat().map((view) => [view.id, view])); // one may have changed state between two requests
  return [...seen.values()];
}

async function pages(state, most, limit = PAGE) {
  const found = [];
  for (let n = 0; n < most; n += 1) {
    const query = new URLSearchParams({ state, limit: String(limit) });
    if (found.length) query.set("after", found[found.length - 1].id);
    const page = await get(`/v1/workloads?${query}`);
    found.push(...page);
    if (page.length < limit) break;
  }
  return found;
}

/** Sites with zone, tier and jurisdiction: the page was served with them, they change with a restart only. */
export const fleet = JSON.parse(document.documentElement.dataset.fleet || "null");

/** The forecast in use between two ISO moments, for all zones of the fleet together; null where there is none. */
export async function forecasts(start, end) {
  const zones = [...new Set((fleet?.sites ?? []).map((site) => site.zone))];
  const frames = await Promise.all(zones.map((zone) =>
    get(`/v1/forecasts?${new URLSearchParams({ zone, start, end })}`).catch((error) => {
      if (error instanceof Problem) return null;
      throw error;
    })));
  const known = frames.filter(Boolean);
  if (known.length === 0) return null;
  return {
    grid: known[0].grid,
    warnings: [...new Set(known.flatMap((frame) => frame.warnings ?? []))],
    signals: known.flatMap((frame) => frame.signals.map((signal) => ({ ...signal, grid: frame.grid }))),
  };
}

/** One signal of a zone between two ISO moments as it was known at `asOf` (null: now), with its grid. */
export async function forecast(zone, signal, start, end, asOf = null) {
  const frame = await get(`/v1/forecasts?${new URLSearchParams({ zone, start, end, ...(asOf ? { as_of: asOf } : {}) })}`);
  const found = frame.signals.find((one) => one.signal === signal);
  return found ? { ...found, grid: frame.grid, warnings: frame.warnings } : null;
}

/** Who counts for how much in forecasts of a zone, by signal. */
export const learnt = (zone) => get(`/v1/forecasts/learnt?${new URLSearchParams({ zone })}`);

/** How good the forecasts of the last `days` days were, by source. */
export const forecastScores = (zone, signal, days) => get(`/v1/forecasts/scores?${new URLSearchParams({ zone, signal, days: String(days) })}`);

/** The newest events, newest first. */
export const recentEvents = async (count) => (await get(`/v1/events?format=json&newest=${count}`)).reverse();

/** What holds now in a pool: real-time load as measured, accelerators that there are, what yields; null where nobody says. */
export const capacity = (site, pool) => said(`/v1/capacity/${encodeURIComponent(site)}/${encodeURIComponent(pool)}`);

/** Power limits of the grid in force or to come, and announced real-time load; null where nobody says. */
export const gridEvents = () => said("/v1/grid-events");
export const announcements = () => said("/v1/realtime/announcements");

/** What the real-time load of each pool stands on, in words. It changes with a restart only; null where nobody says. */
export const loadBases = async () => (await said("/v1/realtime?days=1"))?.map((view) => view.basis) ?? null;

/** Who yields and who returned, newest first; null where nobody says. */
export const guardEvents = async () => (await said("/v1/events?format=json&newest=50&kind=guard.yielded&kind=guard.returned"))?.reverse() ?? null;

const said = (path) => get(path).catch((error) => {
  if (error instanceof Problem) return null;
  throw error;
});
