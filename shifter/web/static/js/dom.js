// Elements from JavaScript, without markup strings: text stays text, and the page's CSP needs no exception.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.setAttribute("class", value);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
    else if (key === "data") Object.assign(node.dataset, value);
    else if (key in node && typeof value !== "string" && !(node instanceof SVGElement)) node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

/** An HTML element: `h("a", {href, class, data: {...}, onclick}, "text", child, [more])`. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** An SVG element. */
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

export const $ = (id) => document.getElementById(id);

/** Replace what `node` holds, keeping the focus where an element with the same data-key comes back. */
export function replace(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement?.dataset?.key : null;
  node.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  if (focused) node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

/** As `replace`, only when `said` is news: a live region that is filled again is read out again. */
export function say(node, said, build) {
  if (node.dataset.said === said) return;
  node.dataset.said = said;
  replace(node, build());
}

/** Draw into `host` without the page jumping, and give the focus back to the element that stands where it was. */
export function redrawn(host, draw) {
  const key = host.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  host.style.minHeight = `${host.offsetHeight}px`;
  draw();
  host.style.minHeight = "";
  if (key && document.activeElement === document.body) host.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

/** A custom property of the page, e.g. `css("--ink")`: the one place where colours live is the style sheet. */
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const SITE_COLOURS = 6;

/** The site's colour by its place in the fleet. */
export const siteColour = (index) => css(`--site-${(index % SITE_COLOURS) + 1}`);
