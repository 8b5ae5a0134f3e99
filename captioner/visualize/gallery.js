// The index of many photos: search, which photo is shown, and the address that keeps both.
// Without scripts the links in its noscript element work all the same.

(function start() {
  const { links, captions, names } = JSON.parse(document.getElementById("data").textContent);
  const [search, count, frame, back, previous, next, place] = ["input", ".count", "iframe", ".back", ".previous", ".next", ".position"].map(
    (selector) => document.querySelector(selector),
  );
  const all = captions.map((_, i) => i);
  const number = (value) => value.toLocaleString("en");
  const plain = (text) => text.normalize().toLowerCase(); // names come composed or not, by their system
  let texts = null; // what is searched
  let found = all;
  let current = -1; // the photo that is shown

  const list = new LongList(document.querySelector(".list"), document.querySelector(".list ol"), (i, position) =>
    make(
      "li",
      { "aria-setsize": String(found.length), "aria-posinset": String(position + 1) },
      photoLink(
        { href: `${links[i]}.html`, target: "photo", tabindex: "-1", "data-photo": String(i) },
        `${links[i]}.jpg`,
        captions[i] || "(no words)",
        names[i],
      ),
    ),
  );
  list.drawn = mark;

  /** Marks the photo that is shown; it, or else the first row, is where Tab enters the list. */
  function mark() {
    let entered = null;
    for (const row of list.rows.values()) {
      const link = row.firstChild;
      const shown = Number(link.dataset.photo) === current;
      if (shown) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      link.tabIndex = -1;
      if (shown) entered = link;
    }
    entered ??= list.list.querySelector("a");
    if (entered) entered.tabIndex = 0;
  }

  // ---- The address ----

  function asked() {
    const values = new URLSearchParams(location.hash.slice(1));
    const photo = Number(values.get("photo")) - 1;
    return { words: values.get("search") ?? "", photo: photo in captions ? photo : -1 };
  }

  function address(photo) {
    const values = new URLSearchParams();
    if (search.value.trim()) values.set("search", search.value.trim());
    if (photo >= 0) values.set("photo", photo + 1);
    return `${location.href.split("#")[0]}#${values}`;
  }

  /** Follows the address, as when a reader goes back. */
  function follow() {
    const { words, photo } = asked();
    if (words !== search.value.trim()) {
      search.value = words;
      filter();
    }
    document.body.classList.toggle("open", photo >= 0);
    if (photo >= 0) show(photo);
    else returnToList();
  }

  // ---- What is found, and what is shown ----

  function filter() {
    texts ??= all.map((i) => plain(`${captions[i]}\n${names[i]}`));
    const words = plain(search.value).split(/\s+/).filter(Boolean);
    found = words.length ? all.filter((i) => words.every((word) => texts[i].includes(word))) : all;
    count.textContent = words.length ? `${number(found.length)} of ${number(all.length)}` : `${number(all.length)} photos`;
    list.show(found);
    tellPlace();
  }

  function tellPlace() {
    const position = found.indexOf(current);
    place.textContent = position < 0 ? "" : `${number(position + 1)} of ${number(found.length)}`;
    previous.disabled = position <= 0;
    next.disabled = position < 0 ? !found.length : position + 1 === found.length;
  }

  function show(i) {
    if (i !== current) {
      current = i;
      frame.title = names[i];
      frame.contentWindow.location.replace(new URL(`${links[i]}.html`, location.href)); // not a step to go back to
    }
    const position = found.indexOf(i);
    if (position >= 0) list.reveal(position);
    mark();
    tellPlace();
  }

  /** Shows a photo; from the list it is a step that Back undoes, from another photo it is not. */
  function open(i) {
    if (asked().photo >= 0) history.replaceState(history.state, "", address(i));
    else history.pushState("from the list", "", address(i));
    document.body.classList.add("open");
    show(i);
  }

  function returnToList() {
    const position = found.indexOf(current);
    const row = position >= 0 ? list.reveal(position) : null;
    if (document.activeElement !== search) row?.firstChild.focus({ preventScroll: true });
  }

  function close() {
    if (history.state === "from the list") return history.back();
    history.replaceState(null, "", address(-1));
    follow();
  }

  function step(by) {
    const i = found[found.indexOf(current) + by];
    if (i === undefined) return;
    const inList = document.activeElement.closest(".list");
    open(i);
    if (inList) list.rows.get(found.indexOf(i)).firstChild.focus({ preventScroll: true });
  }

  // ---- Pointer and keys ----

  function press(key) {
    if (key === "ArrowRight" || key === "ArrowDown" || key === "j") step(1);
    else if (key === "ArrowLeft" || key === "ArrowUp" || key === "k") step(-1);
    else if (key === "Escape" && asked().photo >= 0) close();
    else if (key === "/") {
      const covered = getComputedStyle(search).visibility === "hidden";
      if (covered) document.body.classList.remove("open");
      search.focus();
      if (covered) close();
    } else return false;
    return true;
  }

  list.list.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(Number(link.dataset.photo));
  });
  search.addEventListener("input", () => {
    filter();
    history.replaceState(history.state, "", address(asked().photo));
  });
  search.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === "ArrowDown") && found.length) {
      event.preventDefault();
      open(found[0]);
      list.rows.get(0).firstChild.focus();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.target === search || event.altKey || event.ctrlKey || event.metaKey) return;
    if (press(event.key)) event.preventDefault();
  });
  addEventListener("message", (event) => {
    if (event.source === frame.contentWindow && typeof event.data?.key === "string") press(event.data.key);
  });
  back.addEventListener("click", close);
  previous.addEventListener("click", () => step(-1));
  next.addEventListener("click", () => step(1));
  addEventListener("popstate", follow);

  for (const part of document.querySelectorAll(".find, .steps")) part.hidden = false;
  search.value = asked().words;
  filter();
  addEventListener("load", () => {
    const { photo } = asked();
    if (photo >= 0) follow();
    else if (matchMedia("(min-width: 48rem)").matches && found.length) show(found[0]);
  });
})();
