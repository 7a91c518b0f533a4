// Values of features in words: codes translated, instants in the layer's zone.

import { both, el } from "./dom.js";
import { local } from "./instants.js";

export function valueText(field, value, zone) {
  if (value === null || value === undefined || value === "") return "—";
  const code = field.codes?.[value];
  if (code) return `${code.zh} ${code.en}`;
  if (field.type === "instant") return local(value, zone);
  if (field.type === "boolean") return value ? "是 yes" : "否 no";
  if (field.type === "number") return Number(value).toLocaleString("en", { maximumFractionDigits: 3, useGrouping: false });
  return String(value);
}

export function valueNode(field, value, zone) {
  const code = field.codes?.[value];
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
