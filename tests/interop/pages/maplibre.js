// A map of another site, as MapLibre's own examples make one: a page of features, or vector tiles.
// The address of the page says of what: server, layer, centre, zoom, how (items, tiles), key.

import { Map } from "/maplibre-gl.mjs";

const asked = Object.fromEntries(new URLSearchParams(location.search));
const collection = `${asked.server}/collections/${asked.layer}`;
const headers = asked.key ? { Authorization: `Bearer ${asked.key}` } : {};
const tiled = asked.how === "tiles";
const source = tiled
  ? { type: "vector", tiles: [`${collection}/tiles/WebMercatorQuad/{z}/{y}/{x}`], maxzoom: 22 }
  : { type: "geojson", data: `${collection}/items?limit=10000` };
const where = { source: "ours", ...(tiled ? { "source-layer": asked.layer } : {}) };
const paint = { "circle-radius": 6, "circle-color": "#2a6" };

const map = new Map({
  container: "map",
  center: asked.centre.split(",").map(Number),
  zoom: Number(asked.zoom),
  attributionControl: false,
  transformRequest: (url) => ({ url, headers: url.startsWith(asked.server) ? headers : {} }),
  style: {
    version: 8,
    sources: { ours: source },
    layers: [
      { id: "areas", type: "line", ...where, paint: { "line-color": "#26a" } },
      { id: "points", type: "circle", ...where, filter: ["==", ["geometry-type"], "Point"], paint },
    ],
  },
});
map.on("error", ({ error }) => (window.failed = String(error)));
map.once("idle", () => (window.settled = true));
window.features = () => map.querySourceFeatures("ours", { sourceLayer: asked.layer }).map((f) => f.properties);
window.at = (place) => {
  const { x, y } = map.project(place);
  const box = [[x - 3, y - 3], [x + 3, y + 3]];
  return map.queryRenderedFeatures(box).map((feature) => feature.properties);
};
