// How collections look: MapLibre layers and the legend, made from what a collection says of itself.

import { tileAddress } from "./api.js";

export const dark = matchMedia("(prefers-color-scheme: dark)");
const tone = (light, darkTone) => (dark.matches ? darkTone : light);

// Map colours of pipe classes after CJJ 61; storm water, foul water and combined are drainage.
const DRAINAGE = "rgb(76,57,38)";
const PIPE_COLOURS = {
  JS: "rgb(0,255,255)",
  PS: DRAINAGE,
  YS: DRAINAGE,
  WS: DRAINAGE,
  HS: DRAINAGE,
  RQ: "rgb(255,0,255)",
  RL: "rgb(255,128,0)",
  DL: "rgb(255,0,0)",
  TX: "rgb(0,255,0)",
  GY: "rgb(0,0,0)",
  QT: "rgb(102,0,204)",
};
const OTHER_PIPE = "rgb(102,0,204)";

const STATE_COLOURS = {
  reported: "#d7301f",
  accepted: "#ee6a3d",
  registered: "#f59a5c",
  dispatched: "#e0a100",
  returned: "#c2185b",
  disposing: "#d6c71f",
  rework: "#8e44ad",
  disposed: "#58a6df",
  checking: "#2563b0",
  closed: "#4c9f70",
  rejected: "#6f7b85",
  not_registered: "#97a2ab",
  cancelled: "#b9c1c7",
};
const FINAL = ["closed", "rejected", "not_registered", "cancelled"];
const MORE = ["#3b6fb6", "#c2571a", "#2f8f5b", "#8e44ad", "#b3261e", "#0f8a8a", "#7a6a10", "#a4327a"];

const SYSTEM_STYLES = [
  { light: "#1f5fa8", dark: "#7fb4f0", width: 1.5, dash: null },
  { light: "#9a3324", dark: "#f0907f", width: 2, dash: [4, 2] },
  { light: "#2c7a4b", dark: "#7fd19f", width: 2.6, dash: [1, 1.4] },
  { light: "#7a3fa0", dark: "#c79ae6", width: 1.8, dash: [6, 1.5, 1, 1.5] },
];

const FONT = ["Noto Sans CJK SC, Noto Sans SC, PingFang SC, Microsoft YaHei, sans-serif"];
const growing = (...stops) => ["interpolate", ["exponential", 1.4], ["zoom"], ...stops];

function coded(collection, id) {
  const field = collection.fields.find((f) => f.id === id);
  return field && Object.keys(field.codes).length ? field : null;
}

// What kind of picture a collection asks for.
function look(collection) {
  if (coded(collection, "grid_type")) return "systems";
  if (coded(collection, "pipe_class")) return "pipes";
  return collection.kind === "event" ? "events" : "plain";
}

const match = (field, colours, other) => ["match", ["get", field], ...Object.entries(colours).flat(), other];

function stateColours(field) {
  const known = Object.keys(STATE_COLOURS);
  const place = (code) => (known.includes(code) ? known.indexOf(code) : known.length);
  const codes = Object.keys(field?.codes ?? {}).sort((a, b) => place(a) - place(b));
  return Object.fromEntries(codes.map((code, i) => [code, STATE_COLOURS[code] ?? MORE[i % MORE.length]]));
}

const systemStyle = (i) => {
  const style = SYSTEM_STYLES[i % SYSTEM_STYLES.length];
  return { ...style, colour: tone(style.light, style.dark) };
};

const plain = () => ({
  fill: tone("#f6efdf", "#27303a"),
  line: tone("#b5a98f", "#51606e"),
  changed: tone("#f0bd62", "#8a6a2a"),
});
const casing = () => tone("rgba(20,30,40,.45)", "rgba(235,240,245,.5)");
const halo = () => tone("rgba(255,255,255,.92)", "rgba(15,20,25,.9)");
export const background = () => tone("#e9edef", "#14191e");
const accent = () => tone("#d6246e", "#ff6ba6");

export function source(collection, pins) {
  const bbox = collection.extent.spatial?.bbox[0];
  return {
    type: "vector",
    tiles: [tileAddress(collection.id, pins)],
    minzoom: collection.kind === "event" ? 14 : 9,
    maxzoom: 17,
    ...(bbox ? { bounds: bbox } : {}),
  };
}

// Whether a version began within the year before the map's instant: what has just changed here.
function changedSince(collection, ms) {
  const since = new Date((Number.isNaN(ms) ? Date.now() : ms) - 365 * 86_400_000).toISOString().slice(0, 19);
  const first = collection.extent.temporal.interval[0][0]?.slice(0, 19) ?? "";
  const from = ["slice", ["coalesce", ["get", "valid_from"], ""], 0, 19];
  return ["all", [">=", from, since], ["!=", from, first]];
}

export const plainFill = (collection, ms) => ["case", changedSince(collection, ms), plain().changed, plain().fill];

// Where a collection stands in the list (what is drawn on top first), and among what a click hits.
const byLook = (places) => (a, b) => places.indexOf(look(a)) - places.indexOf(look(b));
export const listed = byLook(["events", "pipes", "systems", "plain"]);
export const hitFirst = byLook(["events", "pipes", "plain", "systems"]);

// A tile that would be too large has points that stand for several small things, and say how many.
const counted = ["all", ["has", "count"], ["!", ["has", "id"]]];

function addCounted(collection, add) {
  add(5.5, "counted", collection.id, {
    type: "circle",
    filter: counted,
    paint: {
      "circle-color": plain().line,
      "circle-opacity": 0.6,
      "circle-radius": ["interpolate", ["linear"], ["get", "count"], 1, 1.5, 100, 5],
    },
  });
}

// The layers of a collection, each with its place in the drawing order and its toggle.
export function layers(collection, ms) {
  const made = [];
  const add = (order, part, toggle, layer) =>
    made.push({
      order,
      layer: {
        id: `${collection.id}/${part}`,
        source: collection.id,
        "source-layer": collection.id,
        metadata: { collection: collection.id, toggle },
        ...layer,
      },
    });
  const make = { systems: addSystems, pipes: addPipes, events: addEvents, plain: addPlain };
  make[look(collection)](collection, add, ms);
  addCounted(collection, add);
  return made;
}

function addPlain(collection, add, ms) {
  const label = collection.fields.find((f) => f.role === "label") ?? collection.fields.find((f) => f.role === "key");
  const { id } = collection;
  const paint = plain();
  const polygon = ["==", ["geometry-type"], "Polygon"];
  add(0, "fill", id, {
    type: "fill",
    filter: polygon,
    paint: { "fill-color": plainFill(collection, ms), "fill-antialias": false },
  });
  add(1, "line", id, {
    type: "line",
    filter: ["!=", ["geometry-type"], "Point"],
    paint: { "line-color": paint.line, "line-width": growing(12, 0.25, 15, 0.6, 19, 1.6) },
  });
  add(6, "point", id, {
    type: "circle",
    filter: ["all", ["==", ["geometry-type"], "Point"], ["!", counted]],
    paint: { "circle-color": paint.changed, "circle-radius": 4, "circle-stroke-color": paint.line, "circle-stroke-width": 1 },
  });
  add(8, "label", id, {
    type: "symbol",
    minzoom: 17,
    layout: { "text-field": ["to-string", ["get", label?.id ?? "id"]], "text-font": FONT, "text-size": 11.5 },
    paint: { "text-color": tone("#5d5340", "#a9b6c2"), "text-halo-color": halo(), "text-halo-width": 1.2 },
  });
}

function addSystems(collection, add) {
  const field = coded(collection, "grid_type");
  const label = collection.fields.find((f) => f.role === "label");
  Object.keys(field.codes).forEach((code, i) => {
    const style = systemStyle(i);
    const toggle = `${collection.id}/${code}`;
    const filter = ["==", ["get", "grid_type"], code];
    add(2, `${code}/fill`, toggle, { type: "fill", filter, paint: { "fill-opacity": 0 } });
    add(3, `${code}/line`, toggle, {
      type: "line",
      filter,
      layout: { "line-join": "round" },
      paint: {
        "line-color": style.colour,
        "line-width": growing(11, style.width * 0.45, 14, style.width * 0.8, 18, style.width * 1.7),
        "line-opacity": 0.9,
        ...(style.dash ? { "line-dasharray": style.dash } : {}),
      },
    });
    add(9 - i / 100, `${code}/label`, toggle, {
      type: "symbol",
      filter,
      minzoom: 12,
      layout: {
        "text-field": ["to-string", ["get", label?.id ?? "id"]],
        "text-font": FONT,
        "text-size": growing(12, 10.5, 16, 14),
        "text-padding": 30,
        "text-max-width": 8,
      },
      paint: { "text-color": style.colour, "text-halo-color": halo(), "text-halo-width": 1.6 },
    });
  });
}

function addPipes(collection, add) {
  const colour = match("pipe_class", PIPE_COLOURS, OTHER_PIPE);
  const { id } = collection;
  const lines = ["==", ["geometry-type"], "LineString"];
  const round = { "line-join": "round", "line-cap": "round" };
  add(4, "casing", id, {
    type: "line",
    filter: lines,
    minzoom: 12,
    layout: round,
    paint: { "line-color": casing(), "line-width": growing(12, 1.3, 14, 1.8, 16, 3.6, 20, 9) },
  });
  add(5, "line", id, {
    type: "line",
    filter: lines,
    layout: round,
    paint: { "line-color": colour, "line-width": growing(10, 0.7, 14, 1, 16, 2.2, 20, 6) },
  });
  add(6, "point", id, {
    type: "circle",
    filter: ["all", ["==", ["geometry-type"], "Point"], ["!", counted]],
    paint: {
      "circle-color": colour,
      "circle-radius": growing(11, 0.9, 14, 1.8, 16, 3.6, 20, 8),
      "circle-stroke-color": casing(),
      "circle-stroke-width": growing(12, 0.2, 15, 0.8),
    },
  });
}

function addEvents(collection, add) {
  const field = coded(collection, "state");
  const colour = field ? match("state", stateColours(field), MORE[0]) : MORE[0];
  const final = ["in", ["get", "state"], ["literal", FINAL]];
  add(7, "point", collection.id, {
    type: "circle",
    filter: ["!", counted],
    layout: { "circle-sort-key": ["case", final, 0, 1] },
    paint: {
      "circle-color": colour,
      "circle-radius": ["interpolate", ["linear"], ["zoom"], 14, ["case", final, 2, 4], 18, ["case", final, 5, 8]],
      "circle-opacity": ["case", final, 0.65, 1],
      "circle-stroke-color": tone("#ffffff", "#14191e"),
      "circle-stroke-width": ["case", final, 0.4, 1],
    },
  });
}

// The outline of what was picked, in its own layers on top.
export function selection(collection, id) {
  const common = { source: collection.id, "source-layer": collection.id };
  const same = ["==", ["get", "id"], id];
  return [
    {
      id: "selected/line",
      type: "line",
      ...common,
      filter: ["all", same, ["!=", ["geometry-type"], "Point"]],
      layout: { "line-join": "round" },
      paint: { "line-color": accent(), "line-width": 3 },
    },
    {
      id: "selected/point",
      type: "circle",
      ...common,
      filter: ["all", same, ["==", ["geometry-type"], "Point"]],
      paint: { "circle-color": "rgba(0,0,0,0)", "circle-radius": 10, "circle-stroke-color": accent(), "circle-stroke-width": 3 },
    },
  ];
}

// What the legend says of a collection: words, a swatch, the toggle where there is one of its own,
// and the field=code of which a feature must be in view for the entry to say anything.
export function legend(collection) {
  const entry = (words, swatch, toggle = null, when = null) => ({ zh: words.zh, en: words.en, swatch, toggle, when });
  switch (look(collection)) {
    case "systems": {
      const { codes } = coded(collection, "grid_type");
      return Object.entries(codes).map(([code, words], i) => {
        const style = systemStyle(i);
        return entry(words, { line: style.colour, width: style.width, dash: style.dash }, `${collection.id}/${code}`);
      });
    }
    case "pipes": {
      const { codes } = coded(collection, "pipe_class");
      return Object.entries(codes).map(([code, words]) => {
        const colour = PIPE_COLOURS[code] ?? OTHER_PIPE;
        return entry(words, { line: colour, circle: colour, width: 3, cased: casing() }, null, `pipe_class=${code}`);
      });
    }
    case "events": {
      const field = coded(collection, "state");
      return Object.entries(stateColours(field)).map(([code, colour]) =>
        entry(field.codes[code], { circle: colour }, null, `state=${code}`),
      );
    }
    default: {
      const paint = plain();
      return [
        entry({ zh: "一年内无变化", en: "Unchanged for a year" }, { fill: paint.fill, outline: paint.line }),
        entry({ zh: "一年内有变化", en: "Changed within a year" }, { fill: paint.changed, outline: paint.line }),
      ];
    }
  }
}
