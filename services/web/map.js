// One Map: every collection that the server lists, at one instant and as known at one.

import { Problem, problemText, readCollections } from "./api.js";
import { el } from "./dom.js";
import { featurePanel } from "./feature.js";
import { toMs } from "./instants.js";
import { layerPanel } from "./layers.js";
import { change, changes, state } from "./state.js";
import * as style from "./style.js";
import { timeBar } from "./time.js";
import * as maplibre from "./vendor/maplibre-gl/maplibre-gl.mjs";

const loading = document.getElementById("loading");
const errors = document.getElementById("errors");
const shown = new Set();

// Says an error once; it stays until it is closed or the time changes.
function say(text) {
  if (shown.has(text)) return;
  shown.add(text);
  const box = el("div", { class: "error", role: "alert" }, el("p", {}, text));
  const close = () => {
    shown.delete(text);
    box.remove();
  };
  box.append(el("button", { class: "icon", type: "button", "aria-label": "关闭 close", onclick: close }, "×"));
  errors.append(box);
}

function clearErrors() {
  shown.clear();
  errors.replaceChildren();
}

// Whether a layer had been recorded at all by the asked recording instant.
function knownThen(collection) {
  const asked = state.recorded && toMs(state.recorded, collection.timeZone);
  const first = collection.revisions.at(-1)?.recorded;
  return !asked || Number.isNaN(asked) || !first || Date.parse(first) <= asked;
}

const off = () => new Set(state.off.split(",").filter(Boolean));

function isShown(collection, toggle) {
  const hidden = off();
  return knownThen(collection) && !hidden.has(collection.id) && !hidden.has(toggle);
}

// The extent to begin with: the smallest there is, so that a far network does not shrink the city.
function firstView(collections) {
  const area = ([west, south, east, north]) => (east - west) * (north - south);
  const boxes = collections.map((c) => c.extent.spatial?.bbox[0]).filter((box) => box && area(box) > 0);
  const [box] = boxes.sort((a, b) => area(a) - area(b));
  return box && [[box[0], box[1]], [box[2], box[3]]];
}

function styleOf(collections) {
  const ordered = collections
    .flatMap((c) => style.layers(c, toMs(state.datetime, c.timeZone)).map((made) => ({ ...made, collection: c })))
    .sort((a, b) => a.order - b.order);
  for (const { layer, collection } of ordered) {
    const visible = isShown(collection, layer.metadata.toggle);
    layer.layout = { ...layer.layout, visibility: visible ? "visible" : "none" };
  }
  return {
    version: 8,
    sources: Object.fromEntries(collections.map((c) => [c.id, style.source(c, state)])),
    layers: [
      { id: "background", type: "background", paint: { "background-color": style.background() } },
      ...ordered.map(({ layer }) => layer),
    ],
  };
}

function makeMap(collections) {
  const bounds = firstView(collections);
  const [zoom, latitude, longitude] = state.map.split("/").map(Number);
  const view = [zoom, latitude, longitude].every(Number.isFinite) && state.map
    ? { zoom, center: [longitude, latitude] }
    : { bounds, fitBoundsOptions: { padding: 24 } };
  const map = new maplibre.Map({
    container: "map",
    style: styleOf(collections),
    ...view,
    maxZoom: 21,
    dragRotate: false,
    pitchWithRotate: false,
    attributionControl: false,
    fadeDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 150,
    locale: {
      "Map.Title": "地图 Map",
      "NavigationControl.ZoomIn": "放大 Zoom in",
      "NavigationControl.ZoomOut": "缩小 Zoom out",
    },
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.ScaleControl({ maxWidth: 120 }), "bottom-right");
  return map;
}

// Whether a tile was asked for at another time than the map's now.
function isStale({ url }) {
  const asked = url && URL.canParse(url) ? new URL(url).searchParams : null;
  return asked !== null && ["datetime", "recorded"].some((name) => (asked.get(name) ?? "") !== state[name]);
}

async function sayError(error) {
  if (error.name === "AbortError") return;
  if (!error.status) {
    const lost = error.message?.startsWith("Failed to fetch");
    say(lost ? "服务器没有应答 · the server does not answer" : `地图出错 · the map failed: ${error.message}`);
    return;
  }
  const body = error.body ? await error.body.text() : "";
  if (!isStale(error)) say(problemText(error.status, body));
}

// What lies at a point, each feature once: of points and lines also what is close by.
function hitsAt(map, point, byId) {
  const reach = 4;
  const box = [
    [point.x - reach, point.y - reach],
    [point.x + reach, point.y + reach],
  ];
  const thin = ({ layer, geometry, properties }) => properties.id !== undefined && (layer.type === "circle" || (layer.type === "line" && !geometry.type.endsWith("Polygon")));
  const filled = ({ layer }) => layer.type === "fill";
  const found = new Map();
  for (const { layer, properties } of [
    ...map.queryRenderedFeatures(box).filter(thin),
    ...map.queryRenderedFeatures(point).filter(filled),
  ]) {
    const collection = layer.metadata?.collection;
    const key = `${collection}/${properties.id}`;
    if (collection && !found.has(key)) found.set(key, { collection, id: properties.id, properties });
  }
  return [...found.values()].sort((a, b) => style.hitFirst(byId.get(a.collection), byId.get(b.collection)));
}

// Tiles that turn out to be the same draw nothing, and without a frame the map never says that it
// is idle: while something is awaited, frames are asked for.
function watchLoading(map) {
  let asking;
  map.on("dataloading", () => {
    loading.hidden = false;
    asking ??= setInterval(() => map.loaded() && map.triggerRepaint(), 200);
  });
  map.on("idle", () => {
    loading.hidden = true;
    clearInterval(asking);
    asking = undefined;
  });
}

// Keeps the map as the state says: time, toggles and what is picked.
function makeDrawing(map, collections, byId, { picked, legend }) {
  let usable = false;
  let settled = false;
  let broken = false;
  let pins = "";
  const pinsNow = () => JSON.stringify([state.datetime, state.recorded]);

  const unsettle = () => {
    settled = false;
    map.triggerRepaint();
  };
  for (const event of ["dataloading", "movestart"]) {
    map.on(event, () => {
      settled = false;
    });
  }
  map.on("idle", () => {
    settled = true;
  });

  function selection() {
    if (!usable) return;
    unsettle();
    for (const id of ["selected/line", "selected/point"]) if (map.getLayer(id)) map.removeLayer(id);
    const found = picked();
    if (found) for (const layer of style.selection(byId.get(found.collection), found.id)) map.addLayer(layer);
  }

  function toggles() {
    legend.update(knownThen);
    if (!usable) return;
    unsettle();
    for (const layer of map.getStyle().layers) {
      const { collection, toggle } = layer.metadata ?? {};
      if (!collection) continue;
      const wanted = isShown(byId.get(collection), toggle) ? "visible" : "none";
      if (map.getLayoutProperty(layer.id, "visibility") !== wanted) map.setLayoutProperty(layer.id, "visibility", wanted);
    }
  }

  // A tile that failed does not come back by setTiles, it waits for itself: then all begins anew.
  function anew() {
    if (!usable) return;
    usable = false;
    broken = false;
    pins = pinsNow();
    unsettle();
    map.setStyle(styleOf(collections), { diff: false });
  }

  function time() {
    clearErrors();
    if (!usable) return;
    if (broken) {
      anew();
      return;
    }
    pins = pinsNow();
    unsettle();
    for (const c of collections) {
      const layer = `${c.id}/fill`;
      if (map.getLayer(layer)) map.setPaintProperty(layer, "fill-color", style.plainFill(c, toMs(state.datetime, c.timeZone)));
      map.getSource(c.id).setTiles(style.source(c, state).tiles);
    }
    toggles();
  }

  map.on("error", ({ error }) => {
    if (isStale(error)) {
      anew();
      return;
    }
    broken = true;
    sayError(error);
  });
  pins = pinsNow();
  map.on("style.load", () => {
    usable = true;
    if (pins === pinsNow()) toggles();
    else time();
    selection();
  });
  const idle = async () => {
    if (!settled) await map.once("idle");
  };
  return { selection, toggles, time, anew, idle };
}

async function begin() {
  let collections;
  let map;
  try {
    collections = (await readCollections()).sort(style.listed);
  } catch (error) {
    loading.hidden = true;
    say(error instanceof Problem ? error.message : String(error));
    return;
  }
  try {
    map = makeMap(collections);
  } catch (error) {
    loading.hidden = true;
    say(`此浏览器画不了地图（需要 WebGL） · this browser cannot draw the map, it has no WebGL: ${error.message}`);
    return;
  }
  const byId = new Map(collections.map((c) => [c.id, c]));
  watchLoading(map);
  const legend = layerPanel(collections, { off, map });
  const bar = timeBar(collections, map);
  const panel = featurePanel(byId, { say, map });
  const drawing = makeDrawing(map, collections, byId, { picked: panel.picked, legend });

  changes.addEventListener("change", ({ detail: { before, after } }) => {
    const moved = before.datetime !== after.datetime || before.recorded !== after.recorded;
    if (moved) drawing.time();
    else if (before.off !== after.off) drawing.toggles();
    if (moved || before.feature !== after.feature) panel.update().then(drawing.selection);
    bar.update();
  });
  style.dark.addEventListener("change", drawing.anew);
  map.on("click", ({ point, lngLat }) => {
    panel.show(hitsAt(map, point, byId));
    // The panel takes room from the map; what was clicked stays in sight.
    map.resize();
    const { x, y } = map.project(lngLat);
    const { clientWidth, clientHeight } = map.getContainer();
    if (x > clientWidth - 40 || y > clientHeight - 40 || x < 40 || y < 40) map.panTo(lngLat);
  });
  map.on("moveend", () => {
    const { lng, lat } = map.getCenter();
    change({ map: `${map.getZoom().toFixed(2)}/${lat.toFixed(5)}/${lng.toFixed(5)}` }, { step: false });
  });
  map.on("mousemove", ({ point }) => {
    map.getCanvas().style.cursor = map.queryRenderedFeatures(point).length ? "pointer" : "";
  });
  const drawn = panel.update({ fly: !state.map }).then(drawing.selection);
  const ready = Promise.all([map.once("load"), drawn]).then(drawing.idle);
  window.shikong = { map, ready, idle: drawing.idle };
}

begin();
