// Values of features in words: codes translated, instants in the layer's zone.

import { both, el } from "./dom.js";
import { local, toMs } from "./instants.js";

// What a code meant at an instant: lists replace each other, and old features keep their titles.
function codeAt(field, value, zone, when) {
  const code = field.codes?.[value];
  if (!code?.before || !when) return code;
  const day = local(when, zone).slice(0, 10);
  return code.before.find((term) => day < term.valid_to) ?? code;
}

// When a version's codes hold: when an event was reported, else when the version began.
export function codesHeld(collection, version) {
  const reported = collection.fields.find((f) => f.role === "event-start");
  const at = reported && version.properties[reported.id];
  if (at && at.length === 10) return new Date(toMs(at, collection.timeZone)).toISOString();
  return at || version.time?.interval?.[0];
}

export function valueText(field, value, zone, when) {
  if (value === null || value === undefined || value === "") return "—";
  const code = codeAt(field, value, zone, when);
  if (code) return `${code.zh} ${code.en}`;
  if (field.type === "instant") return local(value, zone);
  if (field.type === "boolean") return value ? "是 yes" : "否 no";
  if (field.type === "number") return Number(value).toLocaleString("en", { maximumFractionDigits: 3, useGrouping: false });
  return String(value);
}

export function valueNode(field, value, zone, when) {
  const code = codeAt(field, value, zone, when);
  if (code) return el("span", { title: value }, ...both(code.zh, code.en));
  const text = valueText(field, value, zone);
  if (/^https?:\/\/[^\s]+$/.test(text)) {
    return el("a", { href: text, rel: "noopener noreferrer external", target: "_blank" }, text);
  }
  const unit = field.unit && text !== "—" ? ` ${field.unit}` : "";
  return document.createTextNode(text + unit);
}

// The name that people know a feature by.
export function featureName(collection, properties, id) {
  const label = collection.fields.find((f) => f.role === "label");
  return (label && properties[label.id]) || id;
}
