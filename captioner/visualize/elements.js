"use strict";

// What a caption's view is made of: elements without behaviour.

/** An element; strings become text, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const number = (value) => value.toFixed(2).replace("-", "\u2212");
const word = (text) => (text === "<end>" ? "(end)" : text);

/** A list of texts with a bar and a number each. */
function ranking(rows, chosen) {
  return make(
    "ol",
    { class: "ranking" },
    rows.map(([text, value, share]) => {
      const bar = make("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", share);
      const label = make("span", { class: "text", dir: "auto" }, text);
      return make("li", text === chosen ? { class: "chosen" } : {}, label, bar, make("span", { class: "value" }, number(value)));
    }),
  );
}

/** A photo in a list: its thumbnail, its caption, its name. */
function photoLink(attributes, thumbnail, text, name) {
  return make(
    "a",
    attributes,
    make("img", { src: thumbnail, alt: "", width: 56, height: 56, loading: "lazy", decoding: "async" }),
    make("span", { class: "text", dir: "auto" }, text),
    make("span", { class: "name" }, name),
  );
}

/** All numbers of a caption, a column a word, each number with a bar. */
function sheet(entry, miniatures) {
  const rows = [["probability", entry.probabilities]];
  if (entry.betas) rows.push(["image gate \u03b2", entry.betas]);
  for (const [gate, values] of Object.entries(entry.gates)) rows.push([`${gate} gate`, values]);
  const cell = (value, i) => {
    const bar = make("span", { class: "column", "aria-hidden": "true" });
    bar.style.setProperty("--share", value);
    return make("td", { "data-word": String(i) }, bar, make("span", {}, number(value)));
  };
  const head = entry.words.map((text, i) =>
    make(
      "th",
      { scope: "col", "data-word": String(i), "data-probability": number(entry.probabilities[i]) },
      miniatures[i],
      make("span", { dir: "auto" }, text),
    ),
  );
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, make("td"), head)),
    make("tbody", {}, rows.map(([name, values]) => make("tr", {}, make("th", { scope: "row" }, name), values.map(cell)))),
  );
}

function scaleBar(look, top) {
  const canvas = make("canvas", { class: "ramp", width: 256, height: 1, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  for (let i = 0; i < 256; i++) {
    const mix = [0, 1, 2].map((k) => 128 + look.strength * (look.colours[3 * i + k] - 128));
    context.fillStyle = `rgb(${mix.join(" ")})`;
    context.fillRect(i, 0, 1, 1);
  }
  return make("div", { class: "scale" }, "0", canvas, `${top.toFixed(1)} times uniform attention`);
}
