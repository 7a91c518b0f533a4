// The list of layers: toggles, swatches, where the data are from, and what is made up.

import { address } from "./api.js";
import { both, el, svg, syntheticBadge } from "./dom.js";
import { scan } from "./scan.js";
import { change } from "./state.js";
import { legend, source } from "./style.js";

function swatch({ fill, outline, line, circle, width = 2, dash, cased }) {
  const picture = svg("svg", { class: "swatch", viewBox: "0 0 22 12", "aria-hidden": "true" });
  if (fill) picture.append(svg("rect", { x: 1, y: 1, width: 20, height: 10, fill, stroke: outline }));
  if (line) {
    const d = "M0 6H22";
    if (cased) picture.append(svg("path", { d, stroke: cased, "stroke-width": width + 2 }));
    const dashes = dash ? { "stroke-dasharray": dash.map((n) => n * width).join(" ") } : {};
    picture.append(svg("path", { d, stroke: line, "stroke-width": width, ...dashes }));
  }
  if (circle) picture.append(svg("circle", { cx: 11, cy: 6, r: 4.5, fill: circle, stroke: cased ?? "none" }));
  return picture;
}

function switchOff(hidden, key, on) {
  const next = new Set(hidden);
  if (on) next.delete(key);
  else next.add(key);
  change({ off: [...next].sort().join(",") });
}

export function layerPanel(collections, { off, map }) {
  const list = document.getElementById("layer-list");
  const panel = document.getElementById("layers");
  const opener = document.getElementById("show-layers");
  const open = (wanted) => {
    panel.classList.toggle("open", wanted);
    opener.setAttribute("aria-expanded", wanted);
  };
  opener.addEventListener("click", () => open(!panel.classList.contains("open")));
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") open(false);
  });
  map.on("click", () => open(false));

  const checkbox = (key, shown) =>
    el("input", {
      type: "checkbox",
      "data-toggle": key,
      checked: shown,
      onchange: ({ target }) => switchOff(off(), key, target.checked),
    });

  function entry({ zh, en, swatch: picture, toggle }, hidden) {
    const words = el("span", { class: "words", title: `${zh} ${en}` }, ...both(zh, en));
    if (!toggle) return el("li", {}, swatch(picture), words);
    return el("li", {}, el("label", {}, checkbox(toggle, !hidden.has(toggle)), swatch(picture), words));
  }

  function note(collection, known) {
    if (!known) return el("p", { class: "note" }, "该入库时间尚无此图层 · not recorded by then");
    const { minzoom } = source(collection, {});
    if (map.getZoom() < minzoom) return el("p", { class: "note" }, "放大后显示 · zoom in to see it");
    return null;
  }

  function section(collection, known, hidden) {
    const said = legend(collection).filter(({ when }) => !when || seen.has(`${collection.id} ${when}`));
    const items = said.map((e) => entry(e, hidden));
    const about = address(["collections", collection.id], { f: "html" });
    return el(
      "section",
      { class: "layer", "data-layer": collection.id },
      el(
        "div",
        { class: "layer-head" },
        el(
          "label",
          {},
          checkbox(collection.id, !hidden.has(collection.id)),
          el(
            "span",
            { class: "name" },
            collection.titles.zh,
            collection.synthetic ? [" ", syntheticBadge()] : null,
            el("span", { class: "en", lang: "en" }, collection.titles.en),
          ),
        ),
        el("a", { href: about, "aria-label": `${collection.titles.zh} 图层页 layer page` }, "详情"),
      ),
      note(collection, known),
      el("ul", { class: "legend" }, items),
    );
  }

  let signature = "";
  function update(knownThen = () => true) {
    const hidden = off();
    const focused = document.activeElement?.dataset?.toggle;
    list.replaceChildren(...collections.map((c) => section(c, knownThen(c), hidden)));
    if (focused) list.querySelector(`[data-toggle="${CSS.escape(focused)}"]`)?.focus();
    lastKnown = knownThen;
    signature = zoomSignature();
  }
  let lastKnown = () => true;
  const zoomSignature = () => collections.map((c) => map.getZoom() < source(c, {}).minzoom).join();
  map.on("zoomend", () => {
    if (zoomSignature() !== signature) update(lastKnown);
  });

  // Of long code lists the legend shows what is there to be seen.
  const seen = new Set();
  let count = 0;
  const fields = new Map(collections.map((c) => [c.id, new Set(legend(c).flatMap(({ when }) => when?.split("=")[0] ?? []))]));
  scan(
    map,
    collections.filter((c) => fields.get(c.id).size),
    (c, properties) => {
      for (const field of fields.get(c.id)) seen.add(`${c.id} ${field}=${properties[field]}`);
    },
    () => {
      if (seen.size === count) return;
      count = seen.size;
      update(lastKnown);
    },
  );

  const told = new Set(collections.map((c) => c.attribution).filter(Boolean));
  document.getElementById("attribution").replaceChildren(...[...told].map((text) => el("li", {}, text)));
  return { update };
}
