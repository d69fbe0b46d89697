// How numbers and moments are written. Moments are milliseconds since the epoch; the zone is always shown.

const LOCALE = "en-GB";
const KEY = "shifter-zone";
const LOCAL = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

let zone = "UTC";
try {
  zone = localStorage.getItem(KEY) === "local" ? LOCAL : "UTC";
} catch {
  // Storage may be forbidden: times are then in UTC until asked otherwise.
}
const formats = new Map();

export const localZone = LOCAL;
export const shownZone = () => zone;

/** Show times in UTC or in the reader's zone. */
export function setZone(local) {
  zone = local ? LOCAL : "UTC";
  try {
    localStorage.setItem(KEY, local ? "local" : "utc");
  } catch {
    // As above.
  }
}

function format(name, options, timeZone = zone) {
  const key = `${name}|${timeZone}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(LOCALE, { timeZone, hourCycle: "h23", ...options }));
  return formats.get(key);
}

export const ms = (iso) => (iso ? Date.parse(iso) : null);

/** "14:30" */
export const clock = (t, timeZone) => format("clock", { hour: "2-digit", minute: "2-digit" }, timeZone).format(t);
export const clockSeconds = (t, timeZone) =>
  format("seconds", { hour: "2-digit", minute: "2-digit", second: "2-digit" }, timeZone).format(t);
/** "Sat 10 Jan" */
export const day = (t, timeZone) =>
  format("day", { weekday: "short", day: "numeric", month: "short" }, timeZone).format(t).replace(",", "");
/** "Sat 10 Jan 14:30" */
export const moment = (t) => (t === null || t === undefined ? "–" : `${day(t)} ${clock(t)}`);
/** "UTC" or "CET" */
export function zoneName(t, timeZone = zone) {
  const parts = format("zone", { hour: "numeric", timeZoneName: "short" }, timeZone).formatToParts(t);
  return parts.find((p) => p.type === "timeZoneName")?.value ?? timeZone;
}
/** "Sat 10 Jan 14:30–16:00" , the day again only where it changes. */
export function span(a, b) {
  if (a === null || b === null) return "–";
  return day(a) === day(b) || (b - a < 864e5 && clock(b) === "00:00")
    ? `${moment(a)}–${clock(b)}`
    : `${moment(a)} – ${moment(b)}`;
}

/** Wall-clock hour and minute of `t` in the shown zone. */
function wall(t) {
  const [hh, mm] = clock(t).split(":");
  return [Number(hh), Number(mm)];
}

/** Ticks between two moments: midnights carry the day, the hours between as many as fit. */
export function timeTicks(start, end, width_px) {
  const steps = [1, 2, 3, 4, 6, 12, 24];
  const hours = (end - start) / 36e5;
  const step = steps.find((h) => (width_px / hours) * h >= 46) ?? 24;
  const ticks = [];
  for (let t = Math.ceil(start / 9e5) * 9e5; t <= end; t += 9e5) {
    const [hh, mm] = wall(t);
    if (mm !== 0 || hh % step !== 0) continue;
    ticks.push({ t, midnight: hh === 0, label: hh === 0 ? day(t) : `${String(hh).padStart(2, "0")}:00` });
  }
  // The day's name is wider than an hour's: what would run into it goes.
  const room = ((end - start) / Math.max(1, width_px)) * 58;
  const days = ticks.filter((tick) => tick.midnight).map((tick) => tick.t);
  for (const tick of ticks) if (tick.t - start < room / 4) tick.label = "";
  for (const tick of ticks) if (end - tick.t < room / (tick.midnight ? 2 : 4)) tick.label = ""; // it would be cut
  for (const tick of ticks) if (!tick.midnight && days.some((t) => Math.abs(t - tick.t) < room)) tick.label = "";
  return ticks;
}

/** "4 min", "3.2 h", "2 d" */
export function duration(s) {
  if (s === null || s === undefined || !Number.isFinite(s)) return "–";
  const abs = Math.abs(s);
  if (abs < 90) return `${Math.round(s)} s`;
  if (abs < 5400) return `${Math.round(s / 60)} min`;
  if (abs < 172800) return `${trim(s / 3600, 1)} h`;
  return `${trim(s / 86400, 1)} d`;
}

const trim = (x, digits) => String(Number(x.toFixed(digits)));

/** A number with `digits` decimals, thousands apart. */
export const num = (x, digits = 0) =>
  x === null || x === undefined || !Number.isFinite(x)
    ? "–"
    : x.toLocaleString(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");

/** A number with about three figures. */
export function figure(x) {
  const abs = Math.abs(x ?? 0);
  return num(x, abs >= 100 || abs < 0.005 ? 0 : abs >= 10 ? 1 : 2);
}

/** "€41.20", or "SEK 41.20" where the currency has no sign of its own. */
export function money(x, currency) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  const digits = Math.abs(x) >= 1000 ? 0 : 2;
  const sign = Math.round(x * 100) < 0 ? "−" : "";
  const symbol = { EUR: "€", GBP: "£", USD: "$" }[currency] ?? `${currency ?? ""} `;
  return sign + symbol + num(Math.abs(x), digits);
}

/** What one unit is worth: three figures, since it is often less than a cent. */
export function price(x, currency) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  if (x === 0 || Math.abs(x) >= 0.1) return money(x, currency);
  return money(x, currency).replace(/[\d.,]+$/, Math.abs(x).toLocaleString(LOCALE, { maximumSignificantDigits: 2 }));
}

/** kg, or tonnes from one thousand, or grams under one. */
export function carbon(kg) {
  if (kg === null || kg === undefined || !Number.isFinite(kg)) return "–";
  if (Math.abs(kg) >= 10000) return `${figure(kg / 1000)} t`;
  if (Math.abs(kg) < 1 && Math.round(kg * 1000) !== 0) return `${num(kg * 1000)} g`;
  return `${figure(kg)} kg`;
}

/** A ratio as per cent: "23 %", "0.3 %". */
export function percent(ratio) {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return "–";
  const p = ratio * 100;
  return `${num(p, Math.abs(p) >= 9.95 || p === 0 ? 0 : Math.abs(p) >= 0.095 ? 1 : 2)} %`;
}

/** Work in its own unit: "4.1 B tokens", "12 accelerator-hours". */
export function work(amount, unit) {
  if (unit !== "tokens") return `${figure(amount)} accelerator-hours`;
  const [scale, name] = amount >= 1e9 ? [1e9, "B"] : amount >= 1e6 ? [1e6, "M"] : amount >= 1e3 ? [1e3, "k"] : [1, ""];
  return `${figure(amount / scale)} ${name}${name ? " " : ""}tokens`;
}

/** Mean errors below this are none: far smaller than any figure that is shown. */
export const NO_ERROR = 1e-6;

export const plural = (n, one, many = `${one}s`) => `${num(n)} ${n === 1 ? one : many}`;
