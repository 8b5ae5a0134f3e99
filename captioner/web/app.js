// The web app: sends the photo that is dropped, pasted or chosen, and shows what comes back.

(function start() {
  const { look: written, options, upload } = JSON.parse(document.getElementById("data").textContent);
  const look = readLook(written);
  const [file, group, status, problem, result] = ["file", "options", "status", "problem", "result"].map((id) => document.getElementById(id));
  const page = document.body;
  let photo = null; // the file that was sent last
  let view = null;
  let request = null; // aborts what is on its way

  const inputs = options.map(({ name, type, description, default: value, minimum, maximum, enum: choices }) => {
    const title = name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
    let input;
    if (choices) {
      input = make("select", { name }, ...choices.map((choice) => make("option", {}, choice)));
      input.value = value;
    } else if (type === "boolean") {
      input = make("input", { name, type: "checkbox" });
      input.checked = value;
    } else {
      const step = type === "integer" ? "1" : "any";
      input = make("input", { name, type: "number", min: String(minimum), max: String(maximum), step, value: String(value), required: true });
    }
    group.append(make("label", { title: description }, title, input));
    return input;
  });

  const wide = matchMedia("(min-width: 40rem)"); // narrow ones open the options where they are wanted
  const fit = () => (document.getElementById("search").open = wide.matches);
  wide.addEventListener("change", fit);
  fit();

  function tell(text, wrong = "") {
    status.textContent = text;
    problem.textContent = wrong;
  }

  function show(answer) {
    if (view) view.stop();
    view = answer && captionView({ ...answer, text: answer.caption }, look);
    result.replaceChildren(...(view ? [view.element] : []));
    page.classList.toggle("captioned", Boolean(view));
    document.title = answer ? `${answer.caption} - captioner` : "captioner";
  }

  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

  /** The server's answer, or an error with the line that it gives. */
  async function ask(form, signal) {
    for (;;) {
      const response = await fetch("caption", { method: "POST", body: form, signal });
      if (response.status !== 503) {
        const answer = await response.json();
        if (response.ok) return answer;
        throw new Error(answer.error);
      }
      tell("Others are being served, one moment\u2026");
      await pause(Number(response.headers.get("Retry-After")) || 1);
      signal.throwIfAborted();
    }
  }

  async function caption() {
    const wrong = inputs.find((input) => !input.checkValidity());
    if (wrong || !photo) return wrong && wrong.reportValidity();
    if (request) request.abort();
    const mine = (request = new AbortController());
    const form = new FormData();
    form.append("photo", photo);
    form.append("pictures", "true");
    for (const { name, type, checked, value } of inputs) form.append(name, type === "checkbox" ? String(checked) : value);
    tell(`Captioning ${photo.name}\u2026`);
    page.classList.add("busy");
    try {
      if (photo.size > upload) throw new Error(`The file is larger than ${upload / 1e6} MB`);
      const answer = await ask(form, mine.signal);
      if (mine !== request) return;
      show({ ...answer, name: photo.name });
      tell(photo.name);
    } catch (error) {
      if (mine !== request) return; // another photo has taken its place
      show(null);
      tell(photo.name, error instanceof TypeError ? "The server does not answer. Does captioner serve still run?" : error.message);
    }
    page.classList.remove("busy");
  }

  function take(files, nothing) {
    const images = [...files];
    if (!images.length) return tell("", nothing);
    photo = images[0];
    caption();
  }

  file.addEventListener("change", () => {
    if (file.files.length) take(file.files);
    file.value = ""; // so that the same file can be chosen again
  });
  group.addEventListener("change", caption);
  document.getElementById("form").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("paste", (event) => take(event.clipboardData.files, "There is no picture in the clipboard."));

  // Anywhere on the page, as a photo that misses its place would otherwise be opened instead of it
  let depth = 0; // dragging enters an element before it leaves the one around it
  const hover = (change) => page.classList.toggle("over", (depth = Math.max(0, depth + change)) > 0);
  document.addEventListener("dragenter", () => hover(1));
  document.addEventListener("dragleave", () => hover(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    hover(-depth);
    take(event.dataTransfer.files, "That was no file. Save the picture first, then drop it here.");
  });
})();
