"use strict";

// The photos of this tab in a row: what each says, or how far it is.

/** One photo: ``number`` is its place in the address; it has an answer, an error, or neither yet. */
function stripItem({ number, name, source }) {
  const image = make("img", { src: source, alt: "", width: 56, height: 56 });
  image.addEventListener("error", () => image.classList.add("unseeable")); // a format that browsers cannot show
  const text = make("span", { class: "text", dir: "auto" }, "Waiting\u2026");
  const link = make("a", { href: `#${number}` }, image, text, make("span", { class: "name" }, name));
  const element = make("li", { class: "waiting" }, link);

  return {
    element,
    /** @param state waiting, captioning, captioned or failed; @param line is what is told of it. */
    tell(state, line, thumbnail) {
      element.className = state;
      text.textContent = line;
      if (thumbnail) image.src = thumbnail;
      image.classList.toggle("unseeable", image.classList.contains("unseeable") && !thumbnail);
    },
    mark(current) {
      if (current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      if (current) element.scrollIntoView({ block: "nearest", inline: "nearest" });
    },
  };
}
