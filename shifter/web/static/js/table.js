// The figures behind a chart, as a table to read and as CSV to take away.

import { h } from "./dom.js";
import { moment, zoneName } from "./format.js";

const open = new Set(); // which tables are shown survives a refresh

/** A button that shows and hides the table; the table goes below the block's head. `make()` -> {name, columns, rows}. */
export function tableToggle(make, key) {
  const button = h("button", { type: "button", class: "quiet", data: { key: `table-${key}` }, "aria-expanded": "false" }, "Table");
  const show = () => {
    const head = button.closest(".block-head");
    head.parentElement.querySelector(`:scope > .table-view[data-table="${key}"]`)?.remove();
    const shown = open.has(key);
    button.setAttribute("aria-expanded", String(shown));
    if (shown) head.after(view(make(), key));
  };
  button.addEventListener("click", () => {
    if (open.has(key)) open.delete(key);
    else open.add(key);
    show();
  });
  if (open.has(key)) queueMicrotask(show);
  return button;
}

function view({ name, columns, rows }, key) {
  const isTime = (column) => /^(start|end|opens|deadline|finish)$/.test(column);
  const cell = (value, column) => {
    if (value === null || value === undefined) return "";
    if (isTime(column)) return moment(value);
    return typeof value === "number" ? String(Number(value.toFixed(3))) : String(value);
  };
  return h("div", { class: "table-view", data: { table: key } },
    h("p", {}, h("button", { type: "button", class: "quiet", onclick: () => save(name, columns, rows) }, "Save as CSV"),
      ` ${rows.length} rows; times in ${zoneName(Date.now())} (UTC in the file).`),
    h("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": `Table: ${name}` },
      h("table", {},
        h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col" }, c)))),
        h("tbody", {}, rows.map((r) => h("tr", {}, r.map((v, i) => h("td", {}, cell(v, columns[i])))))),
      ),
    ),
  );
}

function save(name, columns, rows) {
  const quote = (v) => {
    // A cell that a spreadsheet would run as a formula is text here.
    const text = typeof v === "string" && /^[=+\-@\t\r]/.test(v) ? `'${v}` : String(v ?? "");
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const isTime = columns.map((c) => /^(start|end|opens|deadline|finish)$/.test(c));
  const line = (row) => row.map((v, i) => quote(isTime[i] && typeof v === "number" ? new Date(v).toISOString() : v)).join(",");
  const blob = new Blob([[columns.map(quote).join(","), ...rows.map(line)].join("\n"), "\n"], { type: "text/csv" });
  const link = h("a", { href: URL.createObjectURL(blob), download: `shifter-${name}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
