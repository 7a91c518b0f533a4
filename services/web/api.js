// The server's documents. Whatever fails says so in the words of the server.

export const base = document.documentElement.dataset.base;

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// The sentence of a problem document, or the status where the body is none.
export function problemText(status, body) {
  try {
    return JSON.parse(body).detail || `HTTP ${status}`;
  } catch {
    return `HTTP ${status}`;
  }
}

export function address(segments, query = {}) {
  const path = segments.map(encodeURIComponent).join("/");
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  return `${base}/${path}${asked.size ? `?${asked}` : ""}`;
}

export async function read(segments, query = {}) {
  let response;
  try {
    response = await fetch(address(segments, query), { headers: { Accept: "application/json" } });
  } catch {
    throw new Problem(0, "服务器没有应答 · the server does not answer");
  }
  if (!response.ok) throw new Problem(response.status, problemText(response.status, await response.text()));
  return response.json();
}

// Every collection with its fields and revisions.
export async function readCollections() {
  const { collections } = await read(["collections"]);
  return Promise.all(
    collections.map(async ({ id }) => {
      const [collection, log] = await Promise.all([
        read(["collections", id]),
        read(["collections", id, "revisions"]),
      ]);
      return { ...collection, revisions: log.revisions };
    }),
  );
}

// Every field of every feature: what is coloured by age or clicked needs more than the rule gives.
export function tileAddress(id, { datetime, recorded }) {
  const query = new URLSearchParams(Object.entries({ datetime, recorded }).filter(([, value]) => value));
  query.set("properties", "all");
  return `${base}/collections/${encodeURIComponent(id)}/tiles/WebMercatorQuad/{z}/{y}/{x}?${query}`;
}
