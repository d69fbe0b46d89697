// One tooltip for the page, by pointer and by keyboard focus; Escape closes it.

import { $, replace } from "./dom.js";

let owner = null;
let byPointer = false;

/** Show what `content()` makes beside `target`, or at the pointer. */
export function showTip(target, content, event = null) {
  const tip = $("tip");
  if (owner !== target) replace(tip, content());
  owner = target;
  byPointer = event !== null;
  tip.hidden = false;
  target.setAttribute("aria-describedby", "tip");
  place(tip, target, event);
}

export function hideTip(target = owner) {
  if (target !== owner) return;
  owner?.removeAttribute("aria-describedby");
  owner = null;
  $("tip").hidden = true;
}

function place(tip, target, event) {
  const box = target.getBoundingClientRect();
  const x = event?.clientX ?? box.left + Math.min(box.width, 220);
  const y = event ? event.clientY : box.bottom;
  const { offsetWidth: w, offsetHeight: height } = tip;
  const left = Math.max(8, Math.min(x + 14, innerWidth - w - 8));
  const below = y + 14 + height < innerHeight;
  tip.style.left = `${left}px`;
  tip.style.top = `${Math.max(8, below ? y + 14 : (event ? y : box.top) - height - 10)}px`;
}

/** What it belonged to may have been drawn anew. */
export function sweepTip() {
  if (owner && !owner.isConnected) hideTip();
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
});
// What has the focus may have been scrolled to for it: its tip goes along.
addEventListener("scroll", () => {
  if (owner && !byPointer) place($("tip"), owner, null);
  else hideTip();
}, { passive: true, capture: true });
