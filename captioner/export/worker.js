// Captions photos, one after another, beside the page: a photo in, what the page draws out.

import * as ort from "./ort.js";
import { frameOf, onWhite, readPhoto, square } from "./photo.js";
import { beamSearch } from "./search.js";

const SHOWN = 800; // pixels of the longer side that the page shows
const THUMBNAIL = 112;
const NAMES = ["encoder", "init_state", "step"];

const fetched = async (name) => {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} is missing beside this page`);
  return response;
};
const unpacked = async (name) => {
  const stream = (await fetched(name)).body.pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
};

const loaded = (async () => {
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.wasm.wasmBinary = await unpacked("ort.wasm.gz");
  ort.env.logLevel = "error";
  const model = await (await fetched("model.json")).json();
  const sessions = {};
  for (const name of NAMES) {
    const bytes = new Uint8Array(await (await fetched(model.programs[name].file)).arrayBuffer());
    sessions[name] = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  }
  return { model, sessions };
})();
loaded.catch(() => {}); // told with each photo

async function captioned(file, options) {
  const { model, sessions } = await loaded;
  const photo = await readPhoto(file);
  const { side } = model.photo;
  const pixels = new ort.Tensor("uint8", square(photo, model.photo), [1, 3, side, side]);
  const { annotations } = await sessions.encoder.run({ pixels });
  const { keys, ...initial } = await sessions.init_state.run({ annotations });
  let state = initial;

  async function step(words, parents) {
    const feeds = { annotations, keys, image: indices(words.map(() => 0)), words: indices(words) };
    for (const [name, { data, dims }] of Object.entries(state)) {
      const rows = parents.map((row) => data.subarray(row * dims[1], (row + 1) * dims[1]));
      const chosen = new Float32Array(rows.length * dims[1]);
      rows.forEach((row, i) => chosen.set(row, i * dims[1]));
      feeds[name] = new ort.Tensor("float32", chosen, [rows.length, dims[1]]);
    }
    const results = await sessions.step.run(feeds);
    state = Object.fromEntries(Object.keys(state).map((name) => [name, results[`next_${name}`]]));
    return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data]));
  }

  const found = await beamSearch(model, step, { ...model.search, ...options });
  return { ...told(found, model), ...(await pictures(photo, model)) };
}

const indices = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [values.length]);

/** The captions as the page's scripts read them. */
function told([best, ...others], model) {
  const text = ({ words }) => words.map((i) => model.vocabulary.words[i]).join(model.vocabulary.unit === "character" ? "" : " ");
  const finished = others.filter((other) => other.finished);
  const column = (i) => best.looks.map(({ gates }) => gates[i]);
  return {
    caption: text(best),
    log_prob: best.total,
    unfamiliar: model.unfamiliar !== null && best.total / (best.words.length + 1) < model.unfamiliar,
    words: best.words.map((i) => model.vocabulary.words[i]),
    probabilities: best.logs.slice(0, best.words.length).map(Math.exp),
    betas: model.decoder.gate === "none" && !model.attention.sentinel ? null : best.looks.map(({ beta }) => beta[0]),
    grid: [model.annotations.rows, model.annotations.columns],
    attention: best.looks.map(({ alpha }) => alpha),
    gates: Object.fromEntries(model.gates.map((name, i) => [name, column(i)])),
    alternatives: best.looks.map(({ considered }) => considered),
    beam: finished.map((other) => [text(other), other.total]),
    scores: [best, ...finished].map(({ score }) => score),
    grounding: model.grounding,
    maps_note: model.maps_note,
  };
}

/** The photo as it is shown, and what of it the model saw. */
async function pictures(photo, model) {
  const scale = Math.min(1, SHOWN / Math.max(photo.width, photo.height));
  const size = [photo.width, photo.height].map((length) => Math.max(1, Math.round(length * scale)));
  const whole = frameOf(photo, model.photo.resize);
  const frame = whole.map((edge, i) => (edge * size[i % 2]) / [photo.width, photo.height][i % 2]);
  return {
    size,
    frame,
    photo: await dataUri(onWhite(photo.canvas, ...size)),
    thumbnail: await dataUri(onWhite(photo.canvas, THUMBNAIL, THUMBNAIL, whole)),
  };
}

async function dataUri(context) {
  const blob = await context.canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 });
  return new FileReaderSync().readAsDataURL(blob);
}

let queue = Promise.resolve();
self.addEventListener("message", ({ data: { id, photo, options } }) => {
  queue = queue.then(async () => {
    self.postMessage({ id, started: true });
    try {
      self.postMessage({ id, answer: await captioned(photo, options) });
    } catch (error) {
      self.postMessage({ id, error: error.message });
    }
  });
});
