// The page: reads the captions that stand in it, and shows one of them beside an index of all.

(function start() {
  const { look: written, captions } = JSON.parse(document.getElementById("data").textContent);
  const look = readLook(written);
  const page = document.getElementById("page");
  const main = make("main");
  const links = captions.map((entry, i) => photoLink({ href: `#${i + 1}` }, entry.thumbnail, entry.text, entry.name));
  if (links.length > 1) {
    page.append(make("nav", { "aria-label": "Photos" }, make("ol", {}, links.map((link) => make("li", {}, link)))));
    page.classList.add("many");
  }
  page.append(main);
  let view = null;

  function show(i) {
    const entry = captions[i];
    if (view) view.stop();
    view = captionView(entry, look);
    main.replaceChildren(...(entry.name ? [make("h1", {}, entry.name)] : []), view.element);
    links.forEach((link, k) => (k === i ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
    if (links.length > 1) links[i].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  const asked = () => Math.min(captions.length, Math.max(1, parseInt(location.hash.slice(1), 10) || 1)) - 1;
  links.forEach((link, i) =>
    link.addEventListener("click", (event) => {
      event.preventDefault(); // in a notebook's frame the address is not ours
      try {
        history.replaceState(null, "", `#${i + 1}`);
      } catch {} // eslint-disable-line no-empty
      show(i);
    }),
  );
  window.addEventListener("hashchange", () => show(asked()));
  if (window.name === "photo") {
    // in the index of many photos, which knows the next one; words and the table keep their arrow keys
    document.addEventListener("keydown", (event) => {
      const { key, target } = event;
      if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || target.closest(".sheet")) return;
      if (["ArrowLeft", "ArrowRight", "/", "Escape"].includes(key)) {
        event.preventDefault();
        parent.postMessage({ key }, "*");
      }
    });
  }
  if (captions.length) show(asked());
})();
