"use strict";

// One caption: its photo, its words, and the attention of the word that is pointed at.
// captionView(entry, look) gives an element for any document; nothing here reads the document.

const FADE = 50; // milliseconds from one word's attention to the next
const SLOW = 12; // milliseconds; where painting takes longer, nothing fades
const PACE = 900; // milliseconds a word when it plays
const CANVAS = [320, 640]; // the least and the most pixels along the frame's longer side
const MINIATURE = 128;

// ---- Attention as colours, with the arithmetic of overlay.py ----

/** The look as it is written in a page, with its colours as numbers. */
function readLook(look) {
  return { ...look, colours: Uint8Array.from(look.colours.match(/../g), (hex) => parseInt(hex, 16)) };
}

/** How much each pixel along one side takes from each cell: a Gaussian of their distance. */
function gaussianWeights(pixels, cells, spread) {
  const weights = new Float32Array(pixels * cells);
  for (let p = 0; p < pixels; p++) {
    const centre = ((p + 0.5) * cells) / pixels - 0.5;
    let sum = 0;
    for (let c = 0; c < cells; c++) {
      sum += weights[p * cells + c] = Math.exp(-(((centre - c) / spread) ** 2) / 2);
    }
    for (let c = 0; c < cells; c++) weights[p * cells + c] /= sum;
  }
  return weights;
}

/** Paints attention over one photo at one size. */
class Painter {
  /** @param image the loaded photo; @param frame left, top, right, bottom of what the model saw of it. */
  constructor(canvas, image, frame, grid, look) {
    this.canvas = canvas;
    this.tints = Float32Array.from(look.colours, (channel) => channel * look.strength);
    [this.rows, this.columns] = grid;
    const { width, height } = canvas;
    this.down = gaussianWeights(height, this.rows, look.spread);
    this.across = gaussianWeights(width, this.columns, look.spread);
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    const [left, top, right, bottom] = frame;
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(image, left, top, right - left, bottom - top, 0, 0, width, height);
    this.pixels = this.context.getImageData(0, 0, width, height);
    const rgba = this.pixels.data;
    this.base = new Float32Array(width * height); // what the photo in grey gives to each pixel
    for (let i = 0; i < this.base.length; i++) {
      const grey = (rgba[4 * i] * 19595 + rgba[4 * i + 1] * 38470 + rgba[4 * i + 2] * 7471 + 32768) >> 16;
      this.base[i] = (1 - look.strength) * grey;
    }
  }

  /** @param attention one word's weights, row after row; @param top the heat of the brightest colour. */
  paint(attention, top) {
    const { rows, columns, down, across, base, tints } = this;
    const { width, height } = this.canvas;
    const rgba = this.pixels.data;
    const wide = new Float32Array(rows * width); // upsampled along the rows alone
    for (let r = 0; r < rows; r++) {
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let c = 0; c < columns; c++) sum += attention[r * columns + c] * across[x * columns + c];
        wide[r * width + x] = (sum * rows * columns * 256) / top;
      }
    }
    const line = new Float32Array(width);
    for (let y = 0, i = 0; y < height; y++) {
      line.fill(0);
      for (let r = 0; r < rows; r++) {
        const weight = down[y * rows + r];
        for (let x = 0; x < width; x++) line[x] += weight * wide[r * width + x];
      }
      for (let x = 0; x < width; x++, i++) {
        const colour = 3 * Math.min(255, line[x] | 0);
        rgba[4 * i] = base[i] + tints[colour];
        rgba[4 * i + 1] = base[i] + tints[colour + 1];
        rgba[4 * i + 2] = base[i] + tints[colour + 2];
      }
    }
    this.context.putImageData(this.pixels, 0, 0);
  }
}

/** A canvas for a frame, of its shape, with ``side`` pixels along the longer side. */
function canvasFor([left, top, right, bottom], side) {
  const scale = side / Math.max(right - left, bottom - top);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round((right - left) * scale));
  canvas.height = Math.max(1, Math.round((bottom - top) * scale));
  return canvas;
}

/** Where in the frame a word's attention is highest, in words. */
function whereabouts(attention, [rows, columns]) {
  const peak = attention.indexOf(Math.max(...attention));
  const third = (cell, cells) => Math.min(2, Math.floor((3 * (cell + 0.5)) / cells));
  const down = ["top", "", "bottom"][third(Math.floor(peak / columns), rows)];
  const across = ["left", "", "right"][third(peak % columns, columns)];
  return [down, across].filter(Boolean).join(" ") || "centre";
}

// ---- Elements ----

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
    make("th", { scope: "col", "data-word": String(i) }, miniatures[i], make("span", { dir: "auto" }, text)),
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

// ---- The view ----

/** @returns {{element: HTMLElement, stop: function}} stop ends what plays before the view is put away. */
function captionView(entry, look) {
  const { words, attention, grid, frame, size } = entry;
  const glue = entry.text === words.join("") ? "" : " ";
  let selected = -1; // the word that stays, -1 for the photo as it is
  let pointed = -1; // the word under the pointer
  let shown = -1;
  let drawn = null; // the weights on the canvas, perhaps between two words'
  let effort = 0; // milliseconds that the last painting took
  let request = 0;
  let timer = 0;

  // The photo, and what the model saw of it
  const image = make("img", { src: entry.photo, alt: entry.name ? `The photo ${entry.name}` : "The photo", draggable: "false" });
  const longest = Math.max(frame[2] - frame[0], frame[3] - frame[1]);
  const canvas = canvasFor(frame, Math.min(CANVAS[1], Math.max(CANVAS[0], Math.round(longest))));
  canvas.setAttribute("role", "img");
  const seen = make("div", { class: "seen" }, canvas);
  seen.style.left = `${(100 * frame[0]) / size[0]}%`;
  seen.style.top = `${(100 * frame[1]) / size[1]}%`;
  seen.style.width = `${(100 * (frame[2] - frame[0])) / size[0]}%`;
  seen.style.height = `${(100 * (frame[3] - frame[1])) / size[1]}%`;
  const photo = make("div", { class: "photo" }, image, seen);

  // The caption
  const options = words.map((text, i) =>
    make("span", { role: "option", class: "word", "data-word": String(i), "aria-selected": "false", tabindex: i ? "-1" : "0", "aria-label": label(i) }, text),
  );
  const list = make(
    "div",
    { role: "listbox", class: "caption", dir: "auto", "aria-orientation": "horizontal", "aria-label": "The caption, word by word" },
    options.flatMap((option, i) => (i && glue ? [glue, option] : [option])),
  );
  if (!words.length) list.append("(no words)");

  // Play, and the scale
  const play = make("button", { type: "button", class: "play" });
  const clear = make("button", { type: "button", class: "clear" }, "Show the photo");
  const controls = make("div", { class: "controls" }, play, clear, scaleBar(look, entry.top));

  // The word that is shown
  const facts = make("div", { class: "facts" });
  const considered = make("div", { class: "considered" });
  const live = make("p", { class: "unseen", "aria-live": "polite" });
  const aside = make("aside", { "aria-label": "About the word" }, facts);
  const open = matchMedia("(min-width: 56rem)").matches;
  const alternatives = make("details", { open, class: "alternatives" }, make("summary", {}, "Words considered here"), considered);
  if (entry.alternatives.length) aside.append(alternatives);
  if (entry.beam.length) {
    const rows = [[entry.text, entry.log_prob], ...entry.beam].map(([text, log]) => [text, log, Math.exp(log - entry.log_prob)]);
    const captions = ranking(rows.map(([text, log, share]) => [text, log, Math.min(1, share)]), entry.text);
    captions.classList.add("long");
    aside.append(make("details", { open, class: "beam" }, make("summary", {}, "Captions considered"), captions, make("p", { class: "note" }, "with their log probabilities")));
  }

  const miniatures = words.map(() => canvasFor(frame, MINIATURE));
  for (const miniature of miniatures) miniature.setAttribute("aria-hidden", "true");
  const table = make("section", { class: "sheet", "aria-label": "Every word in numbers", tabindex: "0" }, sheet(entry, miniatures));

  const element = make(
    "article",
    { class: "view" },
    make("figure", {}, photo, make("figcaption", {}, list), controls),
    aside,
    table,
    live,
  );
  element.style.setProperty("--aspect", size[0] / size[1]);
  const marked = [...element.querySelectorAll("[data-word]")];

  // ---- Drawing ----

  let painter = null;
  const ready = image.decode().then(() => {
    painter = new Painter(canvas, image, frame, grid, look);
    words.forEach((_, i) => new Painter(miniatures[i], image, frame, grid, look).paint(attention[i], entry.top));
    draw();
  });

  function draw() {
    cancelAnimationFrame(request);
    canvas.classList.toggle("on", shown >= 0);
    canvas.setAttribute("aria-label", shown < 0 ? "No attention shown" : `Attention: ${place(shown)}`);
    if (!painter || shown < 0) {
      canvas.dataset.drawn = "";
      drawn = null;
      return;
    }
    const target = attention[shown];
    const still = !drawn || effort > SLOW || matchMedia("(prefers-reduced-motion: reduce)").matches;
    const from = drawn || target;
    const start = performance.now();
    const step = (now) => {
      const part = still ? 1 : Math.min(1, Math.max(0, now - start) / FADE);
      drawn = part < 1 ? target.map((weight, i) => from[i] + part * (weight - from[i])) : target;
      const begun = performance.now();
      painter.paint(drawn, entry.top);
      effort = performance.now() - begun;
      canvas.dataset.drawn = part < 1 ? "" : String(shown);
      if (part < 1) request = requestAnimationFrame(step);
    };
    if (still) step(start);
    else request = requestAnimationFrame(step);
  }

  // ---- Telling ----

  function place(i) {
    return `most at the ${whereabouts(attention[i], grid)}`;
  }

  function label(i) {
    const gate = entry.betas ? `, image gate ${number(entry.betas[i])}` : "";
    return `${words[i]}, probability ${number(entry.probabilities[i])}${gate}`;
  }

  function tell() {
    const rows = [];
    if (shown >= 0) {
      rows.push(["probability", number(entry.probabilities[shown])]);
      if (entry.betas) rows.push(["image gate \u03b2", number(entry.betas[shown])]);
      rows.push(["attention", place(shown)]);
    } else {
      rows.push(["log probability", number(entry.log_prob)]);
    }
    facts.replaceChildren(
      make("h2", { dir: "auto" }, shown < 0 ? "The whole caption" : words[shown]),
      make("dl", {}, rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    );
    const step = shown >= 0 ? entry.alternatives[shown] : null;
    alternatives.classList.toggle("empty", !step);
    if (shown < 0) facts.append(make("p", { class: "note" }, "Point at a word, or tap it, to see where the model looked."));
    if (!step) return;
    const all = step.some(([text]) => text === words[shown]) ? step : [...step, [words[shown], entry.probabilities[shown]]];
    considered.replaceChildren(ranking(all.map(([text, p]) => [word(text), p, p]), words[shown]));
  }

  function update() {
    const next = pointed >= 0 ? pointed : selected;
    if (next === shown) return;
    shown = next;
    for (const part of marked) part.classList.toggle("shown", Number(part.dataset.word) === shown);
    clear.disabled = shown < 0;
    tell();
    draw();
  }

  function select(i, announce = true) {
    selected = i;
    options.forEach((option, k) => {
      option.setAttribute("aria-selected", String(k === i));
      option.tabIndex = k === Math.max(0, i) ? 0 : -1;
    });
    live.textContent = !announce ? "" : i < 0 ? "The photo, without attention" : `Attention ${place(i)}`;
    update();
    if (i >= 0) {
      const column = table.querySelector(`thead [data-word="${i}"]`);
      const room = table.clientWidth;
      if (column.offsetLeft < table.scrollLeft + room / 5 || column.offsetLeft + column.offsetWidth > table.scrollLeft + room) {
        table.scrollLeft = column.offsetLeft - room / 2;
      }
    }
  }

  function setPlaying(playing) {
    clearInterval(timer);
    timer = playing ? setInterval(() => (selected + 1 < words.length ? select(selected + 1, false) : setPlaying(false)), PACE) : 0;
    play.textContent = playing ? "Pause" : "Play";
    play.classList.toggle("playing", playing);
  }

  function togglePlay() {
    const playing = !timer && words.length > 0;
    if (playing) {
      pointed = -1;
      select(selected + 1 < words.length ? selected + 1 : 0, false);
    }
    setPlaying(playing);
  }

  // ---- Pointer and keys ----

  for (const part of marked) {
    const i = Number(part.dataset.word);
    part.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "touch") return;
      pointed = i;
      update();
    });
    part.addEventListener("pointerleave", () => {
      pointed = -1;
      update();
    });
    part.addEventListener("click", () => {
      setPlaying(false);
      select(i);
    });
  }
  list.addEventListener("focusin", (event) => {
    const i = Number(event.target.dataset.word);
    if (i !== selected && event.target.matches(":focus-visible")) select(i);
  });
  list.addEventListener("keydown", (event) => {
    const forwards = getComputedStyle(list).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    const backwards = forwards === "ArrowLeft" ? "ArrowRight" : "ArrowLeft";
    const current = options.indexOf(document.activeElement);
    const last = words.length - 1;
    const to = { [forwards]: current + 1, ArrowDown: current + 1, [backwards]: current - 1, ArrowUp: current - 1, Home: 0, End: last };
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in to) {
      const i = Math.min(last, Math.max(0, to[event.key]));
      setPlaying(false);
      pointed = -1;
      select(i);
      options[i].focus();
    } else if (event.key === " " || event.key === "Enter") {
      togglePlay();
    } else if (event.key === "Escape") {
      setPlaying(false);
      select(-1);
    } else {
      return;
    }
    event.preventDefault();
  });
  play.addEventListener("click", togglePlay);
  clear.addEventListener("click", () => {
    setPlaying(false);
    select(-1);
    play.focus();
  });

  setPlaying(false);
  clear.disabled = true;
  tell();
  draw();
  return { element, ready, stop: () => setPlaying(false) };
}
