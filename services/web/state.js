// What the page shows, as its address says it: ?datetime=...#recorded=...&map=...&feature=...&off=...
// The date is in the query, because every page of the platform has it there; the rest is the
// browser's own business. `recorded` is read from the query too.

const VIEW = ["recorded", "feature", "off", "map"];

export const changes = new EventTarget();
export let state = fromAddress();

function fromAddress() {
  const query = new URLSearchParams(location.search);
  const hash = new URLSearchParams(location.hash.slice(1));
  const own = Object.fromEntries(VIEW.map((name) => [name, hash.get(name) ?? ""]));
  own.recorded ||= query.get("recorded") ?? "";
  return { datetime: query.get("datetime") ?? "", ...own };
}

// The address of the page with something changed.
export function addressWith(changed) {
  const next = { ...state, ...changed };
  const query = new URLSearchParams(location.search);
  query.delete("recorded");
  if (next.datetime) query.set("datetime", next.datetime);
  else query.delete("datetime");
  const hash = new URLSearchParams(VIEW.filter((n) => next[n]).map((n) => [n, next[n]]));
  const readable = hash.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%2C", ",");
  return `${location.pathname}${query.size ? `?${query}` : ""}${readable ? `#${readable}` : ""}`;
}

// Changes the state; a step is one that the back button takes back.
export function change(changed, { step = true } = {}) {
  const before = state;
  const href = addressWith(changed);
  state = { ...state, ...changed };
  if (href !== location.pathname + location.search + location.hash) {
    history[step ? "pushState" : "replaceState"](null, "", href);
  }
  tell(before);
}

function tell(before) {
  changes.dispatchEvent(new CustomEvent("change", { detail: { before, after: state } }));
}

addEventListener("popstate", () => {
  const before = state;
  state = { ...fromAddress(), map: before.map };
  history.replaceState(null, "", addressWith({}));
  tell(before);
});
