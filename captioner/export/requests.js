"use strict";

// What the worker is asked for: captions of photos, which never leave this page.

const HEAT_PIXELS = 256; // at which the brightest heat is looked for
const LOWEST_TOP = 2; // as in overlay.py
const asked = new Map(); // by number, what is told of each photo on its way

const captioner = location.protocol === "file:" ? null : new Worker("worker.js", { type: "module" });
if (captioner) {
  captioner.addEventListener("message", ({ data: { id, ...news } }) => asked.get(id)?.(news));
  captioner.addEventListener("error", () => asked.forEach((tell) => tell({ error: "The scripts of this page cannot be loaded" })));
}

/** The heat that gets the brightest colour, one for all words. */
function topOfScale(attention, [rows, columns], spread) {
  const down = gaussianWeights(HEAT_PIXELS, rows, spread);
  const across = gaussianWeights(HEAT_PIXELS, columns, spread);
  let top = LOWEST_TOP;
  for (const weights of attention) {
    for (let y = 0; y < HEAT_PIXELS; y++) {
      const line = new Float32Array(columns);
      for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) line[c] += down[y * rows + r] * weights[r * columns + c];
      for (let x = 0; x < HEAT_PIXELS; x++) {
        let heat = 0;
        for (let c = 0; c < columns; c++) heat += across[x * columns + c] * line[c];
        top = Math.max(top, heat * rows * columns);
      }
    }
  }
  return top;
}

/**
 * The worker's answer for a photo.
 * @param options names and values of the form's fields.
 * @param started called when the photo's turn comes.
 * @throws Error with a line for people.
 */
function askCaption(photo, options, { signal, started }) {
  if (!captioner) throw new Error("Browsers run no model from a file: serve this folder, as python -m http.server does");
  const { spread } = JSON.parse(document.getElementById("data").textContent).look;
  const id = asked.size ? Math.max(...asked.keys()) + 1 : 1;
  return new Promise((resolve, reject) => {
    const end = (settle, value) => {
      asked.delete(id);
      settle(value);
    };
    signal.addEventListener("abort", () => end(reject, signal.reason));
    asked.set(id, (news) => {
      if (news.started) started();
      else if (news.error) end(reject, new Error(news.error));
      else end(resolve, { ...news.answer, top: topOfScale(news.answer.attention, news.answer.grid, spread) });
    });
    captioner.postMessage({ id, photo, options: Object.fromEntries(options.map(([name, value]) => [name, Number(value)])) });
  });
}
