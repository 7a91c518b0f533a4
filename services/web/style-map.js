// What a style draws, on its page.

import * as maplibre from "./vendor/maplibre-gl/maplibre-gl.mjs";

const box = document.getElementById("style-map");
const bounds = box.dataset.bounds.split(",").map(Number);
const view = bounds.length === 4 ? { bounds, fitBoundsOptions: { padding: 20 } } : {};
const map = new maplibre.Map({ container: box, style: box.dataset.style, attributionControl: false, hash: true, ...view });
map.addControl(new maplibre.NavigationControl({ showCompass: false }));
map.addControl(new maplibre.ScaleControl());
map.on("error", ({ error }) => console.warn(String(error)));
map.once("idle", () => (box.dataset.drawn = "true"));
