// The control of time: which instant the map shows, and what was known of it when.

import { el } from "./dom.js";
import { asParameter, dayNumber, dayText, local, toMs, today } from "./instants.js";
import { scan } from "./scan.js";
import { change, state } from "./state.js";

const get = (id) => document.getElementById(id);
const MOST_MARKS = 300;

export function timeBar(collections, map) {
  const zone = collections[0]?.timeZone ?? "UTC";
  const field = get("datetime");
  const picker = get("picker");
  const slider = get("slider");
  const ticks = get("ticks");
  const recorded = get("recorded");
  const marks = new Map();

  // Where a change of the world is known to lie; events would make every day one.
  const lasting = collections.filter((c) => c.kind === "state");
  const mark = (instant, c) => {
    if (instant && !marks.has(instant) && marks.size < MOST_MARKS) marks.set(instant, c.timeZone);
  };
  const starts = collections.flatMap((c) => c.extent.temporal.interval[0][0] ?? []);
  for (const c of lasting) for (const instant of c.extent.temporal.interval[0]) mark(instant, c);

  const first = Math.min(...starts.map((s) => dayNumber(s)), dayNumber(today()) - 365);
  const last = dayNumber(today());
  slider.min = first;
  slider.max = last;

  const place = (day) => `${((day - first) / (last - first)) * 100}%`;
  function drawTicks() {
    const years = [];
    const from = Number(dayText(first).slice(0, 4));
    const to = Number(dayText(last).slice(0, 4));
    const every = Math.ceil((to - from + 1) / Math.max(2, Math.floor(ticks.clientWidth / 46)));
    for (let year = from; year <= to; year += every) {
      const day = dayNumber(`${year}-01-01`);
      if (day >= first) years.push(el("span", { style: `left:${place(day)}` }, String(year)));
    }
    const changesAt = [...marks].map(([instant, at]) => {
      const day = dayNumber(local(instant, at));
      return el("i", { style: `left:${place(Math.min(day, last))}`, "data-instant": instant });
    });
    ticks.replaceChildren(...years, ...changesAt);
  }

  const now = () => toMs(state.datetime, zone);
  const sorted = () => [...marks].map(([instant, at]) => [Date.parse(instant), instant, at]).sort((a, b) => a[0] - b[0]);
  const before = () => sorted().filter(([ms]) => ms < now()).at(-1);
  const after = () => sorted().find(([ms]) => ms > now() && ms <= Date.now());
  const jump = (found) => found && go(asParameter(found[1], found[2]));
  const go = (datetime) => change({ datetime });

  // The marks of what is in view: every tile says when its features' versions begin and end.
  let size = marks.size;
  scan(
    map,
    lasting,
    (c, properties) => {
      mark(properties.valid_from, c);
      mark(properties.valid_to, c);
    },
    () => {
      if (marks.size === size) return;
      size = marks.size;
      drawTicks();
      update();
    },
  );

  function words() {
    const asked = state.datetime;
    const what = asked ? `${asked.length === 10 ? asked : local(asked, zone)} 的状况` : "现在的状况";
    const en = asked ? `as it was on ${asked}` : "as it is now";
    const known = state.recorded ? `按 ${state.recorded} 前已入库的内容` : "按最新入库";
    const knownEn = state.recorded ? `as known on ${state.recorded}` : "as known now";
    return [el("strong", {}, what), `，${known} `, el("span", { class: "en", lang: "en" }, `${en}, ${knownEn}`)];
  }

  let said = {};
  function update() {
    // What is being typed stays, until the state itself changes.
    if (said.datetime !== state.datetime) field.value = state.datetime;
    if (said.recorded !== state.recorded) recorded.value = state.recorded;
    said = state;
    const ms = now();
    const text = Number.isNaN(ms) ? "" : state.datetime ? local(new Date(ms), zone) : today();
    const day = text ? dayNumber(text) : last;
    slider.value = Math.max(first, Math.min(last, day));
    slider.style.setProperty("--at", place(Number(slider.value)));
    slider.setAttribute("aria-valuetext", text || state.datetime);
    picker.value = text.slice(0, 10);
    get("now").setAttribute("aria-pressed", state.datetime === "");
    get("newest").setAttribute("aria-pressed", state.recorded === "");
    get("before").disabled = !before();
    get("after").disabled = !after();
    get("said").replaceChildren(...(text ? words() : ["这不是一个时刻 not an instant"]));
  }

  // While it is dragged the map follows; the back button takes the whole drag back.
  let pending;
  let touched = 0;
  const sliderDate = () => (Number(slider.value) >= last ? "" : dayText(Number(slider.value)));
  const follow = () => {
    clearTimeout(pending);
    change({ datetime: sliderDate() }, { step: Date.now() - touched > 1500 });
    touched = Date.now();
  };
  slider.addEventListener("input", () => {
    slider.style.setProperty("--at", place(Number(slider.value)));
    field.value = sliderDate();
    clearTimeout(pending);
    pending = setTimeout(follow, 160);
  });
  slider.addEventListener("change", () => {
    if (sliderDate() !== state.datetime) follow();
  });

  get("time-form").addEventListener("submit", (event) => {
    event.preventDefault();
    change({ datetime: field.value.trim(), recorded: recorded.value.trim() });
  });
  field.addEventListener("change", () => go(field.value.trim()));
  recorded.addEventListener("change", () => change({ recorded: recorded.value.trim() }));
  picker.addEventListener("change", () => picker.value && go(picker.value));
  get("calendar").addEventListener("click", () => picker.showPicker?.());
  get("now").addEventListener("click", () => {
    field.value = "";
    go("");
  });
  get("newest").addEventListener("click", () => {
    recorded.value = "";
    change({ recorded: "" });
  });
  get("before").addEventListener("click", () => jump(before()));
  get("after").addEventListener("click", () => jump(after()));
  addEventListener("resize", drawTicks);

  const commits = collections.flatMap((c) => c.revisions.map((r) => ({ ...r, collection: c })));
  commits.sort((a, b) => (a.recorded < b.recorded ? 1 : -1));
  get("recordings").replaceChildren(
    ...commits.map(({ recorded: at, number, collection }) =>
      el("option", { value: at }, `${local(at, collection.timeZone)} ${collection.titles.zh} 第 ${number} 版`),
    ),
  );

  drawTicks();
  update();
  return { update };
}
