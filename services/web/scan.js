// What the tiles in view hold, looked at once after they have changed.

export function scan(map, collections, each, done) {
  let stale = true;
  map.on("sourcedata", ({ tile }) => {
    if (tile) stale = true;
  });
  map.on("idle", () => {
    if (!stale) return;
    stale = false;
    for (const collection of collections) {
      if (!map.getSource(collection.id)) continue;
      for (const { properties } of map.querySourceFeatures(collection.id, { sourceLayer: collection.id })) {
        each(collection, properties);
      }
    }
    done();
  });
}
