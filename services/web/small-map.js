// The shape of one feature on its page.

import { background } from "./style.js";
import * as maplibre from "./vendor/maplibre-gl/maplibre-gl.mjs";

const box = document.getElementById("shape");
const geometry = JSON.parse(box.dataset.geometry);

function positions(coordinates) {
  return typeof coordinates[0] === "number" ? [coordinates] : coordinates.flatMap(positions);
}

const all = positions(geometry.coordinates);
const bounds = all.reduce((b, [x, y]) => b.extend([x, y]), new maplibre.LngLatBounds());
const colour = "#175a94";
new maplibre.Map({
  container: box,
  bounds,
  fitBoundsOptions: { padding: 40, maxZoom: 17 },
  attributionControl: false,
  style: {
    version: 8,
    sources: { shape: { type: "geojson", data: { type: "Feature", properties: {}, geometry } } },
    layers: [
      { id: "background", type: "background", paint: { "background-color": background() } },
      { id: "fill", type: "fill", source: "shape", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": colour, "fill-opacity": 0.3 } },
      { id: "line", type: "line", source: "shape", paint: { "line-color": colour, "line-width": 2.5 } },
      { id: "point", type: "circle", source: "shape", filter: ["==", ["geometry-type"], "Point"], paint: { "circle-color": colour, "circle-radius": 7 } },
    ],
  },
})
  .addControl(new maplibre.NavigationControl({ showCompass: false }))
  .addControl(new maplibre.ScaleControl());
