// What was clicked: its properties, and its versions as links that move the map in time.

import { address, read } from "./api.js";
import { both, el, syntheticBadge } from "./dom.js";
import { codesHeld, featureName, valueNode, valueText } from "./fields.js";
import { asParameter, period, toMs } from "./instants.js";
import { addressWith, change, state } from "./state.js";

const key = ({ collection, id }) => `${collection}/${id}`;

function parse(text) {
  const cut = text.indexOf("/");
  return cut > 0 ? { collection: text.slice(0, cut), id: text.slice(cut + 1) } : null;
}

const sameShape = (a, b) => JSON.stringify(a.geometry) === JSON.stringify(b.geometry);

function boundsOf(geometry) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  const visit = (c) => {
    if (typeof c[0] !== "number") return c.forEach(visit);
    box[0] = Math.min(box[0], c[0]);
    box[1] = Math.min(box[1], c[1]);
    box[2] = Math.max(box[2], c[0]);
    box[3] = Math.max(box[3], c[1]);
    return undefined;
  };
  visit(geometry.coordinates);
  return box;
}

export function featurePanel(byId, { say, map }) {
  const panel = document.getElementById("feature");
  let hits = [];
  let document_ = null;
  let asked = 0;

  const picked = () => {
    const found = parse(state.feature);
    return found && byId.has(found.collection) ? found : null;
  };

  // Which version the map shows, from the periods.
  function current(collection, versions) {
    const at = toMs(state.datetime, collection.timeZone);
    return versions.findIndex(({ time: { interval: [start, end] } }) => Date.parse(start) <= at && (end === ".." || at < Date.parse(end)));
  }

  function head(collection, name) {
    const kind = el("span", { class: "kind" }, ...both(collection.titles.zh, collection.titles.en), collection.synthetic ? syntheticBadge() : null);
    const close = el("button", { class: "icon", type: "button", "aria-label": "关闭 close", onclick: () => show([]) }, "×");
    return el("div", { class: "feature-head" }, el("h2", { tabindex: "-1" }, kind, name), close);
  }

  function hitList() {
    if (hits.length < 2) return null;
    const button = (hit) => {
      const collection = byId.get(hit.collection);
      const title = collection.titles.zh.replace(/（.*）/, "");
      return el(
        "li",
        {},
        el("button", { type: "button", "aria-current": String(key(hit) === state.feature), onclick: () => change({ feature: key(hit) }) }, `${title} ${hitName(collection, hit)}`),
      );
    };
    return el("section", { class: "section", "aria-label": "点击处的要素" }, el("h3", {}, `此处 ${hits.length} 个要素 features here`), el("ul", { class: "hits" }, hits.map(button)));
  }

  function hitName(collection, { id, properties }) {
    const system = collection.fields.find((f) => f.id === "grid_type")?.codes[properties.grid_type];
    const name = featureName(collection, properties, id);
    return system ? `${system.zh} ${name}` : name;
  }

  function propertyList(collection, version) {
    const { properties } = version;
    const held = codesHeld(collection, version);
    const row = (field) =>
      el(
        "div",
        {},
        el("dt", {}, field.title.zh, el("span", { class: "en", lang: "en" }, field.title.en)),
        el("dd", {}, valueNode(field, properties[field.id], collection.timeZone, held)),
      );
    return el("dl", { class: "properties" }, collection.fields.filter((f) => f.id in properties).map(row));
  }

  // Of the first version, what later ones differ in; of the others, what they changed.
  function whatChanged(collection, versions, i) {
    const version = versions[i];
    const previous = versions[i - 1];
    if (!previous) {
      const varies = (f) => versions.some(({ properties }) => properties[f.id] !== version.properties[f.id]);
      const lines = collection.fields
        .filter(varies)
        .map((f) => [`${f.title.zh}：`, el("b", {}, valueText(f, version.properties[f.id], collection.timeZone, codesHeld(collection, version)))]);
      return [["首个版本 first version"], ...lines].map((line) => el("p", { class: "what" }, ...line));
    }
    const lines = collection.fields
      .filter((f) => version.properties[f.id] !== previous.properties[f.id])
      .map((f) => [
        el("span", {}, `${f.title.zh}：`),
        el("del", {}, valueText(f, previous.properties[f.id], collection.timeZone, codesHeld(collection, previous))),
        " → ",
        el("b", {}, valueText(f, version.properties[f.id], collection.timeZone, codesHeld(collection, version))),
      ]);
    if (!sameShape(version, previous)) lines.push([el("b", {}, "图形有变 shape changed")]);
    return lines.map((line) => el("p", { class: "what" }, ...line));
  }

  function versionList(collection, versions) {
    const shownNow = current(collection, versions);
    const item = (version, i) => {
      const datetime = asParameter(version.time.interval[0], collection.timeZone);
      const link = el(
        "a",
        {
          href: addressWith({ datetime }),
          "aria-current": i === shownNow ? "true" : false,
          onclick: (event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            change({ datetime });
          },
        },
        period(version.time.interval, collection.timeZone),
      );
      return el("li", { class: i === shownNow ? "now" : false }, link, i === shownNow ? [" ", el("span", { class: "tag now" }, "图上 shown")] : null, whatChanged(collection, versions, i));
    };
    return el("ol", { class: "versions", reversed: true }, versions.map(item).reverse());
  }

  function draw() {
    const focused = panel.contains(document.activeElement);
    const target = picked();
    panel.hidden = !target;
    if (!target) {
      panel.replaceChildren();
      return;
    }
    const collection = byId.get(target.collection);
    if (!document_) {
      panel.replaceChildren(head(collection, target.id), hitList() ?? "", el("p", { class: "section" }, "读取中 loading …"));
      return;
    }
    const versions = document_.features;
    const now = current(collection, versions);
    const version = versions[now] ?? versions.at(-1);
    const pins = { recorded: state.recorded };
    const gone = now < 0 ? el("p", { class: "what" }, el("strong", {}, "图上这一刻它不存在 not there at this instant"), "；以下为最近版本 the latest version follows") : null;
    panel.replaceChildren(
      head(collection, featureName(collection, version.properties, target.id)),
      hitList() ?? "",
      el(
        "section",
        { class: "section" },
        el("h3", {}, ...both("属性", "Properties")),
        gone ?? "",
        propertyList(collection, version),
      ),
      el(
        "section",
        { class: "section" },
        el("h3", {}, `历史版本 Versions (${versions.length})`),
        versionList(collection, versions),
      ),
      el(
        "p",
        { class: "section doc-links" },
        el("a", { href: address(["collections", target.collection, "items", target.id], { ...pins, datetime: now < 0 ? "" : state.datetime, f: "html" }) }, "要素页 Feature"),
        el("a", { href: address(["collections", target.collection, "items", target.id, "versions"], { ...pins, f: "html" }) }, "版本页 Versions"),
        el("a", { href: address(["collections", target.collection, "items", target.id, "versions"], { ...pins, f: "json" }) }, "JSON"),
      ),
    );
    if (focused) panel.querySelector("h2").focus();
  }

  let drawn = "";
  async function update({ fly = false } = {}) {
    const target = picked();
    const wanted = target ? `${key(target)} ${state.recorded}` : "";
    if (wanted === drawn) {
      draw();
      return;
    }
    drawn = wanted;
    asked += 1;
    const mine = asked;
    document_ = null;
    draw();
    if (!target) return;
    try {
      const found = await read(["collections", target.collection, "items", target.id, "versions"], { recorded: state.recorded });
      if (mine !== asked) return;
      document_ = found;
      draw();
      const shape = found.features.at(-1).geometry;
      if (fly && shape) map.fitBounds(boundsOf(shape), { maxZoom: 18, padding: Math.min(120, map.getCanvas().clientHeight / 5), animate: false });
    } catch (error) {
      if (mine !== asked) return;
      panel.replaceChildren(head(byId.get(target.collection), target.id), hitList() ?? "", el("p", { class: "section", role: "alert" }, error.message));
      if (!error.status) say(error.message);
    }
  }

  function show(found) {
    hits = found;
    change({ feature: found.length ? key(found[0]) : "" });
    draw();
  }

  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      show([]);
      map.getCanvas().focus();
    }
  });
  return { update, show, picked };
}
