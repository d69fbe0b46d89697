// Who counts for how much in what is expected: sources by their record, and our own models beside them.

import { h, replace } from "./dom.js";
import { moment, ms, percent, plural } from "./format.js";

/** What was learnt of one signal into `host`; nothing where nothing is learnt at all. */
export function drawLearnt(host, learnt, signal) {
  const one = learnt.find((view) => view.signal === signal);
  host.hidden = !one;
  if (!one) return;
  const of = one.made_for === null ? null
    : h("small", {}, `of ${moment(ms(one.made_for))}, from ${plural(one.rounds, "day")} of outcomes${one.planned_by ? "" : "; in shadow, nothing is planned by it"}`);
  replace(host,
    h("div", { class: "block-head" }, h("h2", {}, "Who is believed how far"), of),
    one.note ? h("p", { class: "empty" }, one.note) : null,
    one.sources.length === 0 ? null : shares(one));
}

function shares(one) {
  const row = (part, within) => h("tr", { class: within ? "within" : null },
    h("th", { scope: "row" }, part.name),
    part.ratio.map((ratio) => h("td", {}, ratio === null ? "known" : percent(ratio))));
  return h("table", { class: "shares" },
    h("caption", {}, "Share in what is expected so far ahead; of our models, each one’s share in theirs."),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "source"), one.lead_hours.map((hours) => h("th", { scope: "col" }, `${hours} h`)))),
    h("tbody", {}, one.sources.map((part) => row(part, false)), one.models.map((part) => row(part, true))));
}
