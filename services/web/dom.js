// Elements without markup in strings: whatever comes from a feature stays text.

export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    // An attribute would be a style of the document's own, which its policy forbids.
    else if (key === "style") element.style.cssText = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A text in both languages, Chinese first.
export function both(zh, en) {
  return en && en !== zh ? [zh, " ", el("span", { class: "en", lang: "en" }, en)] : [zh];
}

export const syntheticBadge = () => el("span", { class: "badge" }, "合成 synthetic");
