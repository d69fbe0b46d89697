// The workloads, a row each: the window it may use, the accelerators it holds, its deadline.

import { h, replace, s, siteColour } from "./dom.js";
import { carbon, money, moment, plural, span } from "./format.js";
import { addLines, axis, gridLines, inside, percent, placeLines, ratio, setCursor, tickLabels } from "./timeaxis.js";
import { hideTip, showTip, sweepTip } from "./tooltip.js";
import { tableToggle } from "./table.js";
import { against, dueWords, inTrouble, rowLabel, stateWord, whenWhere } from "./words.js";
import { root } from "./api.js";

const PAGE = 200;
const ROW_PX = 24;
const view = { text: "", state: "open", site: "", sort: "start", shown: PAGE };

const SORTS = {
  start: ["planned start", (a, b) => (a.start ?? Infinity) - (b.start ?? Infinity) || a.opens - b.opens],
  deadline: ["deadline", (a, b) => (a.due ?? Infinity) - (b.due ?? Infinity)],
  saved: ["saving", (a, b) => saved(b) - saved(a)],
  name: ["name", (a, b) => (a.id < b.id ? -1 : 1)],
};
const saved = (row) => (row.share ? row.share.run_now_cost - row.share.cost : -Infinity);

const FILTERS = {
  open: ["open", (row) => !["done", "cancelled"].includes(row.view.state)],
  running: ["running now", (row) => row.view.state === "running"],
  trouble: ["late or unplaced", inTrouble],
  deferrable: ["deferrable", (row) => row.view.class === "deferrable"],
  real_time: ["real-time", (row) => row.view.class === "real_time"],
  closed: ["done or cancelled", (row) => ["done", "cancelled"].includes(row.view.state)],
  all: ["all", () => true],
};

let current = { rows: [], sites: [], currency: "EUR" };

/** Draw everything into `host`; the controls keep what was typed into them. */
export function drawGantt(host, data) {
  current = data;
  if (!host.querySelector(".gantt")) host.replaceChildren(controls(host), body());
  updateControls(host);
  drawRows(host);
}

function controls(host) {
  const again = () => {
    view.shown = PAGE;
    drawRows(host);
  };
  const choice = (name, label, options) =>
    h("label", {}, h("span", { class: "sr" }, label),
      h("select", { data: { choice: name }, onchange: (e) => ((view[name] = e.target.value), again()) },
        options.map(([value, text]) => h("option", { value, selected: view[name] === value }, text))));
  return h("div", { class: "block-head" },
    h("h2", {}, "Workloads"),
    h("span", { class: "count", "aria-live": "polite" }),
    h("span", { class: "spacer" }),
    h("label", {}, h("span", { class: "sr" }, "Search workloads"),
      h("input", { type: "search", placeholder: "Search id, tenant, model", value: view.text,
        oninput: (e) => ((view.text = e.target.value.trim().toLowerCase()), again()) })),
    choice("state", "Which", Object.entries(FILTERS).map(([k, [text]]) => [k, text])),
    choice("site", "Site", [["", "every site"]]),
    choice("sort", "Order", Object.entries(SORTS).map(([k, [text]]) => [k, `by ${text}`])),
    tableToggle(ganttTable, "workloads"),
  );
}

function body() {
  const plot = h("div", { class: "gantt-lines", "aria-hidden": "true" });
  addLines(plot);
  const scroller = h("div", { class: "gantt", tabindex: -1 },
    h("div", { class: "gantt-axis", "aria-hidden": "true" }, h("div", { class: "gantt-ticks" }), h("div", { class: "gantt-axis-lines" })),
    h("div", { class: "gantt-body" }, h("div", { class: "gantt-grid", "aria-hidden": "true" }), h("ol", { class: "rows", "aria-label": "Workloads, a row each" }), plot),
  );
  addLines(scroller.querySelector(".gantt-axis-lines"), { label: true });
  const gantt = scroller.querySelector(".gantt-body");
  gantt.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width;
    setCursor(at >= 0 && at <= 1 ? axis.start + at * (axis.end - axis.start) : null);
  });
  gantt.addEventListener("pointerleave", () => setCursor(null));
  new ResizeObserver(() => drawAxis(scroller)).observe(plot);
  return scroller;
}

function updateControls(host) {
  const select = host.querySelector('[data-choice="site"]');
  const names = current.sites.map((site) => site.name);
  if (select.options.length !== names.length + 1) {
    replace(select, h("option", { value: "" }, "every site"), names.map((n) => h("option", { value: n, selected: n === view.site }, n)));
  }
}

function drawAxis(scroller) {
  const width = scroller.querySelector(".gantt-lines").clientWidth;
  if (!width) return;
  scroller.querySelector(".gantt-ticks").replaceChildren(...tickLabels(width));
  scroller.querySelector(".gantt-grid").replaceChildren(...gridLines(width));
}

function chosen() {
  const matches = (row) =>
    !view.text || [row.id, row.view.tenant, row.view.workload?.model, row.view.state].some((v) => (v ?? "").toLowerCase().includes(view.text));
  return current.rows
    .filter((row) => FILTERS[view.state][1](row) && matches(row) && (!view.site || row.sites.includes(view.site)))
    .sort((a, b) => SORTS[view.sort][1](a, b) || (a.id < b.id ? -1 : 1));
}

function drawRows(host) {
  const rows = chosen();
  const shown = rows.slice(0, view.shown);
  const list = host.querySelector(".rows");
  const scroller = host.querySelector(".gantt");
  const top = scroller.scrollTop;
  const hidden = current.rows.length - rows.length;
  host.querySelector(".count").textContent =
    (rows.length > shown.length ? `${shown.length} of ${rows.length}` : `${rows.length}`) + (hidden ? `, ${hidden} not shown` : "");
  replace(list, shown.length ? shown.map(rowElement) : h("li", { class: "empty" }, emptyWords()));
  host.querySelector(".more")?.remove();
  if (rows.length > shown.length) {
    scroller.after(h("button", { type: "button", class: "more", onclick: () => ((view.shown += PAGE), drawRows(host)) },
      `Show ${Math.min(PAGE, rows.length - shown.length)} more`));
  }
  drawAxis(scroller);
  placeLines();
  scroller.scrollTop = top;
  sweepTip();
}

function emptyWords() {
  if (current.rows.length === 0) return "Nothing has been submitted yet. POST /v1/workloads, or: shifter submit work.jsonl";
  return "No workload matches. Clear the search or choose “all”.";
}

function rowElement(row) {
  const trouble = inTrouble(row);
  const link = h("a", { class: "row-link", href: `${root}/workloads/${encodeURIComponent(row.id)}`, data: { key: `row-${row.id}` },
    "aria-label": rowLabel(row, current.currency) },
    h("span", { class: `dot state-${row.view.state}${trouble ? " trouble" : ""}` }),
    h("span", { class: "row-id" }, row.id),
    h("span", { class: "row-note" }, trouble ? (row.view.state === "late" ? "late" : "won’t fit") : row.view.class === "real_time" ? "real-time" : row.view.state === "running" ? "running" : row.view.tenant),
  );
  const li = h("li", { class: `row${trouble ? " trouble" : ""}`, data: { id: row.id } }, link, track(row, current.sites));
  const show = (event) => showTip(link, () => tip(row), event);
  li.addEventListener("pointermove", (event) => event.pointerType === "mouse" && show(event));
  li.addEventListener("pointerleave", () => hideTip(link));
  link.addEventListener("focus", () => link.matches(":focus-visible") && show());
  link.addEventListener("blur", () => hideTip(link));
  li.addEventListener("click", (event) => event.target.closest("a") || link.click());
  return li;
}

/** The row's picture: window, blocks stacked by site with height by accelerators, deadline. Also on the detail page. */
export function track(row, sites, height = ROW_PX) {
  const inner = height - 6;
  const svg = s("svg", { class: "track", height, "aria-hidden": "true" });
  const clampEnd = Math.min(row.due ?? axis.end, axis.end);
  if (row.opens < axis.end && clampEnd > axis.start && !["done", "cancelled"].includes(row.view.state)) {
    const from = ratio(Math.max(row.opens, axis.start));
    svg.append(s("rect", { class: row.view.class === "real_time" ? "window realtime" : "window", x: percent(row.opens),
      width: `${((ratio(clampEnd) - from) * 100).toFixed(3)}%`, y: 3, height: inner, rx: 2 }));
  }
  const peak = Math.max(row.peak, ...row.blocks.map((b) => b.base + b.accelerators));
  for (const block of row.blocks) {
    if (block.to <= axis.start || block.from >= axis.end) continue;
    const from = Math.max(block.from, axis.start);
    const width = (ratio(Math.min(block.to, axis.end)) - ratio(from)) * 100;
    const tall = Math.max(3, (block.accelerators / peak) * inner);
    const y = Math.max(3, 3 + inner - (block.base / peak) * inner - tall);
    const site = sites.findIndex((one) => one.name === block.site);
    const box = { x: percent(from), width: `${width.toFixed(3)}%`, y: y.toFixed(2), height: tall.toFixed(2) };
    svg.append(s("rect", { class: "block", ...box, fill: siteColour(Math.max(0, site)), rx: 1 }));
    if (row.view.workload?.preemptible) svg.append(s("rect", { class: "may-stop", ...box, fill: "url(#may-stop)" }));
    if (width > 10 && tall >= 13) {
      svg.append(s("text", { class: "block-text", x: percent(from), dx: 4, y: (y + tall / 2 + 3.5).toFixed(1) }, `${block.site} ×${block.accelerators}`));
    }
  }
  if (row.due !== null && inside(row.due)) {
    svg.append(s("rect", { class: `deadline${inTrouble(row) ? " missed" : ""}`, x: percent(row.due), width: 2.5, y: 1, height: height - 2, transform: "translate(-1.25 0)" }));
  }
  return svg;
}

function tip(row) {
  const share = row.share;
  const blocks = row.blocks.slice(0, 5);
  return [
    h("strong", {}, row.id),
    h("span", { class: "tip-sub" }, ` ${stateWord(row.view.state)} · ${row.view.tenant}${row.view.workload?.model ? ` · ${row.view.workload.model}` : ""}`),
    h("p", {}, whenWhere(row)),
    blocks.length > 1 ? h("ul", {}, blocks.map((b) => h("li", {}, `${span(b.from, b.to)}  ${b.site}/${b.pool} ×${b.accelerators}`)),
      row.blocks.length > 5 ? h("li", {}, `and ${plural(row.blocks.length - 5, "more piece")}`) : null) : null,
    h("p", {}, `Window opens ${moment(row.opens)}, ${dueWords(row)}`),
    share ? h("p", {}, `${money(share.cost, current.currency)}, ${against(share.cost, share.run_now_cost, current.currency) ?? ""}; ${carbon(share.carbon_kg)} CO₂e`) : null,
    h("p", { class: "why" }, share?.reason || row.view.reason?.text || row.view.note),
    row.unplaced ? h("p", { class: "bad" }, `${row.unplaced.accelerator_hours.toFixed(1)} accelerator-hours do not fit: ${row.unplaced.reason}`) : null,
  ];
}

function ganttTable() {
  const columns = ["workload", "tenant", "class", "state", "opens", "start", "finish", "deadline", "sites", "max accelerators", "cost", "cost at once", "carbon kg", "carbon kg at once"];
  const rows = chosen().map((r) => [r.id, r.view.tenant, r.view.class, r.view.state, r.opens, r.start, r.finish, r.due, r.sites.join(" "), r.peak,
    r.share?.cost ?? null, r.share?.run_now_cost ?? null, r.share?.carbon_kg ?? null, r.share?.run_now_carbon_kg ?? null]);
  return { name: "workloads", columns, rows };
}
