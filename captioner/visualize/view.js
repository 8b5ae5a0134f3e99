"use strict";

// One caption: its photo, its words, and the attention of the word that is pointed at.
// captionView(entry, look) gives an element for any document; nothing here reads the document.

const FADE = 50; // milliseconds from one word's attention to the next
const SLOW = 12; // milliseconds; where painting takes longer, nothing fades
const PACE = 900; // milliseconds a word when it plays
const CANVAS = [320, 640]; // the least and the most pixels along the frame's longer side
const MINIATURE = 128;

/** @returns {{element: HTMLElement, stop: function}} stop ends what plays before the view is put away. */
function captionView(entry, look) {
  const { words, attention, grid, frame, size } = entry;
  const trust = trustOfWords(attention, look);
  const field = new FieldSquare(grid, entry.grounding?.half);
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
  const seen = make("div", { class: "seen" }, canvas, field.element);
  seen.style.left = `${(100 * frame[0]) / size[0]}%`;
  seen.style.top = `${(100 * frame[1]) / size[1]}%`;
  seen.style.width = `${(100 * (frame[2] - frame[0])) / size[0]}%`;
  seen.style.height = `${(100 * (frame[3] - frame[1])) / size[1]}%`;
  const photo = make("div", { class: "photo" }, image, seen);

  // The caption
  const options = words.map((text, i) =>
    make("span", { role: "option", class: ["word", trust[i].quiet && "quiet", entry.betas?.[i] < look.looked && "blind"].filter(Boolean).join(" "), title: trust[i].why, "data-word": String(i), "aria-selected": "false", tabindex: i ? "-1" : "0", "aria-label": label(i) }, text),
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
  const controls = make("div", { class: "controls" }, play, clear, field.button, scaleBar(look, entry.top));
  const note = entry.maps_note ? make("p", { class: "note maps" }, entry.maps_note) : null;

  // The word that is shown
  const facts = make("div", { class: "facts" });
  const considered = make("div", { class: "considered" });
  const live = make("p", { class: "unseen", "aria-live": "polite" });
  const aside = make("aside", { "aria-label": "About the word" }, facts);
  const open = matchMedia("(min-width: 56rem)").matches;
  const alternatives = make("details", { open, class: "alternatives" }, make("summary", {}, "Words considered here"), considered);
  if (entry.beam.length) {
    const texts = [entry.text, ...entry.beam.map(([text]) => text)];
    const scores = entry.scores || [entry.log_prob, ...entry.beam.map(([, log]) => log)];
    const captions = ranking(texts.map((text, i) => [text, scores[i], Math.min(1, Math.exp(scores[i] - scores[0]))]), entry.text);
    captions.classList.add("long");
    aside.append(make("details", { open, class: "beam" }, make("summary", {}, "Captions considered"), captions, make("p", { class: "note" }, entry.scores ? "ranked by log probability for their length" : "with their log probabilities")));
  }
  if (entry.alternatives.length) aside.append(alternatives); // last, as it is there for some words only

  const miniatures = words.map(() => canvasFor(frame, MINIATURE));
  for (const miniature of miniatures) miniature.setAttribute("aria-hidden", "true");
  const table = make("section", { class: "sheet", "aria-label": "Every word in numbers", tabindex: "0" }, sheet(entry, miniatures));

  const element = make(
    "article",
    { class: "view" },
    make("figure", {}, photo, make("figcaption", {}, list), controls, note, captionActions(entry, look, image)),
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
    words.forEach((_, i) => new Painter(miniatures[i], image, frame, grid, look).paint(attention[i], entry.top, trust[i].strength));
    draw();
  });

  function draw() {
    cancelAnimationFrame(request);
    canvas.classList.toggle("on", shown >= 0);
    field.draw(attention[shown] ?? null);
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
      painter.paint(drawn, entry.top, trust[shown].strength);
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
    const gate = entry.betas ? `, image gate ${number(entry.betas[i])}, ${looked(entry.betas[i], look)}` : "";
    return `${words[i]}, probability ${number(entry.probabilities[i])}${gate}${trust[i].quiet ? ", its map tells nothing" : ""}`;
  }

  function tell() {
    const rows = [];
    if (shown >= 0) {
      rows.push(["probability", number(entry.probabilities[shown])]);
      if (entry.betas) rows.push(["image gate \u03b2", `${number(entry.betas[shown])}, ${looked(entry.betas[shown], look)}`]);
      rows.push(["attention", place(shown)]);
      rows.push(["differs from mean map", `${percent(trust[shown].apart)}${trust[shown].quiet ? ", too little" : ""}`]);
    } else {
      rows.push(["log probability", number(entry.log_prob)]);
    }
    facts.replaceChildren(
      make("h2", { dir: "auto" }, shown < 0 ? "The whole caption" : words[shown]),
      make("dl", {}, rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    );
    const step = shown >= 0 ? entry.alternatives[shown] : null;
    alternatives.classList.toggle("empty", !step);
    if (shown < 0 && entry.unfamiliar) facts.append(make("p", { class: "note doubt" }, "The photo is unlike those that the model knows: do not rely on this caption."));
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
    seen.classList.toggle("on", shown >= 0);
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
