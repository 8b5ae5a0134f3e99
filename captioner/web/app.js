"use strict";

// The web app: sends the photos that are dropped, pasted or chosen, and shows what comes back. Which photo is
// shown stands in the address, so that the browser's Back and Forward step through them.

(function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const look = readLook(data.look);
  const by = (id) => document.getElementById(id);
  const [form, file, camera, status, problem, result, strip] = ["form", "file", "camera", "status", "problem", "result", "strip"].map(by);
  const page = document.body;
  const past = tabHistory(data.models);
  const photos = new Map(); // by number, in the order in which they came
  let shown = null;
  let view = null;

  // ---- What is shown ----

  function add(number, name, source, photo) {
    const item = { number, name, source, photo, answer: null, error: "", request: null, row: stripItem({ number, name, source }) };
    photos.set(number, item);
    strip.querySelector("ol").append(item.row.element);
    return item;
  }

  function waitingView({ name, source }) {
    const image = make("img", { src: source, alt: name });
    image.addEventListener("error", () => image.remove());
    return make("figure", { class: "pending" }, image, make("figcaption", { class: "caption" }, "Captioning\u2026"));
  }

  function show() {
    const item = photos.get(Number(location.hash.slice(1))) || null;
    if (view) view.stop();
    view = item && item.answer ? captionView({ ...item.answer, text: item.answer.caption }, look) : null;
    const waiting = item && !item.answer && !item.error;
    result.replaceChildren(...(view ? [view.element] : waiting ? [waitingView(item)] : []));
    problem.textContent = item && item.error ? `${item.name}: ${item.error}` : "";
    document.title = view ? `${item.answer.caption} - captioner` : "captioner";
    for (const each of photos.values()) each.row.mark(each === item);
    shown = item;
    tell();
  }

  function tell() {
    const all = [...photos.values()];
    const [done, failed] = [all.filter((item) => item.answer).length, all.filter((item) => item.error).length];
    const on = all.filter((item) => item.request).length;
    page.classList.toggle("captioned", shown !== null);
    page.classList.toggle("busy", on > 0);
    strip.hidden = all.length < 2;
    by("forget").hidden = !all.length;
    const wrong = failed ? `, ${failed} could not be captioned` : "";
    if (all.length < 2) status.textContent = all.map(({ name }) => (on ? `Captioning ${name}\u2026` : name)).join("");
    else if (on) status.textContent = `Captioning, ${done + failed} of ${all.length} done`;
    else status.textContent = `${done} captioned${wrong}`;
  }

  // ---- Captioning ----

  const inputs = [...form.querySelectorAll("[name]")].filter((input) => input !== file);
  const options = () => inputs.map(({ name, type, checked, value }) => [name, type === "checkbox" ? String(checked) : value]);

  async function caption(item) {
    if (item.request) item.request.abort();
    const mine = (item.request = new AbortController());
    item.row.tell("waiting", "Waiting\u2026");
    tell();
    try {
      const started = () => item.row.tell("captioning", "Captioning\u2026");
      const answer = await askCaption(item.photo, options(), { upload: data.upload, signal: mine.signal, started });
      if (mine !== item.request) return; // other options have taken its place
      [item.answer, item.error] = [{ ...answer, name: item.name }, ""];
      item.row.tell("captioned", answer.caption || "(no words)", answer.thumbnail);
      past.keep(item.number, item.answer);
    } catch (error) {
      if (mine !== item.request) return;
      [item.answer, item.error] = [null, error.message];
      item.row.tell("failed", error.message);
    }
    item.request = null;
    if (item === shown) show();
    else tell();
  }

  function take(files, nothing) {
    const wrong = inputs.find((input) => !input.checkValidity());
    if (wrong) {
      by("search").open = true;
      return wrong.reportValidity();
    }
    const chosen = [...files];
    if (!chosen.length) return void (problem.textContent = nothing);
    const first = Math.max(0, ...photos.keys()) + 1;
    const items = chosen.map((photo, i) => add(first + i, photo.name, URL.createObjectURL(photo), photo));
    items.forEach(caption);
    location.hash = String(first);
  }

  form.addEventListener("change", ({ target }) => {
    if (!inputs.includes(target) || !shown || !target.reportValidity()) return;
    if (shown.photo) caption(shown);
    else problem.textContent = "This photo came back with the page: choose it again to search anew.";
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  file.multiple = true;
  file.required = false; // as it is emptied
  for (const input of [file, camera]) {
    input.addEventListener("change", () => {
      if (input.files.length) take(input.files);
      input.value = ""; // so that the same file can be chosen again
    });
  }

  // ---- Other ways in ----

  document.addEventListener("paste", (event) => take(event.clipboardData.files, "There is no picture in the clipboard."));
  let depth = 0; // dragging enters an element before it leaves the one around it
  const hover = (change) => page.classList.toggle("over", (depth = Math.max(0, depth + change)) > 0);
  document.addEventListener("dragenter", () => hover(1));
  document.addEventListener("dragleave", () => hover(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // anywhere on the page, as a photo that misses its place would be opened instead
    hover(-depth);
    take(event.dataTransfer.files, "That was no file. Save the picture first, then drop it here.");
  });

  by("examples").hidden = !data.examples.length;
  for (const name of data.examples) {
    const source = `examples/${name}`;
    const button = make("button", { type: "button", "aria-label": `Try ${name}` }, make("img", { src: source, alt: "" }));
    button.addEventListener("click", async () => take([new File([await (await fetch(source)).blob()], name)]));
    by("examples").append(button);
  }

  // ---- Stepping through the photos ----

  window.addEventListener("hashchange", show);
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const elsewhere = event.target.closest("input, select, [role=listbox], .sheet");
    if (!step || !shown || elsewhere || event.ctrlKey || event.altKey || event.metaKey) return;
    const numbers = [...photos.keys()];
    const next = numbers[numbers.indexOf(shown.number) + step];
    if (next !== undefined) location.hash = String(next);
  });
  by("forget").addEventListener("click", () => {
    for (const item of photos.values()) {
      if (item.request) item.request.abort();
      if (item.photo) URL.revokeObjectURL(item.source);
    }
    past.forget();
    photos.clear();
    strip.querySelector("ol").replaceChildren();
    history.replaceState(null, "", " ");
    show();
  });

  for (const [number, answer] of past.all()) {
    const item = add(number, answer.name, answer.thumbnail, null);
    item.answer = answer;
    item.row.tell("captioned", answer.caption || "(no words)", answer.thumbnail);
  }
  show();
})();
