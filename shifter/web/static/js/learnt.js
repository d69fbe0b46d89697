// Who counts for how much in what is expected: sources by their record, and our own models beside them.

import { h, replace } from "./dom.js";
import { moment, ms, percent, plural } from "./format.js";

const LIVE = "shifter"; // what is planned by is on record as that, and a candidate beside it as something else

/** What was learnt of one signal into `host`, a candidate's below; nothing where nothing is learnt at all. */
export function drawLearnt(host, learnt, signal) {
  const all = learnt.filter((view) => view.signal === signal);
  host.hidden = all.length === 0;
  replace(host,
    all.filter((one) => one.name === LIVE).map((one) => drawOne(one, "Who is believed how far", null, "in shadow, nothing is planned by it")),
    all.filter((one) => one.name !== LIVE).map((one) =>
      drawOne(one, "By the candidate", h("span", { class: "badge" }, "CANDIDATE"), "nothing is planned by it")));
}

function drawOne(one, title, badge, idle) {
  const of = one.made_for === null ? null
    : h("small", {}, `of ${moment(ms(one.made_for))}, from ${plural(one.rounds, "day")} of outcomes${one.planned_by ? "" : `; ${idle}`}`);
  return [
    h("div", { class: "block-head" }, h("h2", {}, title), badge, of),
    one.note ? h("p", { class: "empty" }, one.note) : null,
    one.sources.length === 0 ? null : shares(one)];
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
