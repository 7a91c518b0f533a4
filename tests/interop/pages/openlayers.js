// A map of another site, as OpenLayers' own examples make one: features by box, vector tiles, or map tiles.
// The address of the page says of what: server, layer, centre, zoom, how (items, mercator, tiles, map), key.

const asked = Object.fromEntries(new URLSearchParams(location.search));
const collection = `${asked.server}/collections/${asked.layer}`;
const headers = asked.key ? { Authorization: `Bearer ${asked.key}` } : {};
const MERCATOR = "http://www.opengis.net/def/crs/EPSG/0/3857";

async function read(url) {
  const answer = await fetch(url, { headers });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

// All pages of a box: each says where the next one is.
async function* pages(url) {
  while (url) {
    const page = await read(url);
    yield page;
    url = page.links.find((link) => link.rel === "next")?.href;
  }
}

function boxAddress(extent) {
  const query = new URLSearchParams({ limit: asked.limit || 25 });
  if (asked.how === "mercator") {
    for (const [name, value] of [["bbox", extent], ["bbox-crs", MERCATOR], ["crs", MERCATOR]]) query.set(name, value);
  } else {
    query.set("bbox", ol.proj.transformExtent(extent, "EPSG:3857", "EPSG:4326"));
  }
  return `${collection}/items?${query}`;
}

function itemsLayer() {
  const dataProjection = asked.how === "mercator" ? "EPSG:3857" : "EPSG:4326";
  const format = new ol.format.GeoJSON({ dataProjection, featureProjection: "EPSG:3857" });
  const source = new ol.source.Vector({
    strategy: ol.loadingstrategy.bbox,
    async loader(extent, resolution, projection, success, failure) {
      try {
        const found = [];
        for await (const page of pages(boxAddress(extent))) found.push(...format.readFeatures(page));
        source.addFeatures(found);
        success(found);
      } catch (error) {
        window.failed = String(error);
        source.removeLoadedExtent(extent);
        failure();
      }
    },
  });
  window.features = () => source.getFeatures().map((feature) => ({ id: feature.getId(), ...plain(feature) }));
  return new ol.layer.Vector({ source });
}

function tilesLayer() {
  const source = new ol.source.OGCVectorTile({
    url: `${collection}/tiles/WebMercatorQuad`,
    format: new ol.format.MVT(),
  });
  const found = new Map();
  source.on("tileloadend", ({ tile }) => {
    for (const feature of tile.getFeatures()) found.set(JSON.stringify(plain(feature)), plain(feature));
  });
  source.on("tileloaderror", () => (window.failed = "a tile did not come"));
  window.features = () => [...found.values()];
  return new ol.layer.VectorTile({ source });
}

function mapLayer() {
  const source = new ol.source.OGCMapTile({ url: `${collection}/map/tiles/WebMercatorQuad`, crossOrigin: "anonymous" });
  source.on("tileloaderror", () => (window.failed = "a tile did not come"));
  return new ol.layer.Tile({ source });
}

function plain(feature) {
  const { geometry, ...properties } = feature.getProperties();
  return properties;
}

const map = new ol.Map({
  target: "map",
  layers: [{ tiles: tilesLayer, map: mapLayer }[asked.how]?.() ?? itemsLayer()],
  view: new ol.View({
    center: ol.proj.fromLonLat(asked.centre.split(",").map(Number)),
    zoom: Number(asked.zoom),
  }),
});
map.on("loadend", () => (window.settled = true));
// What lies under a place of the picture, by the map's own reckoning.
window.at = (place) => {
  const pixel = map.getPixelFromCoordinate(ol.proj.fromLonLat(place));
  return map.getFeaturesAtPixel(pixel, { hitTolerance: 3 }).map(plain);
};
