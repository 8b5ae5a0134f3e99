"use strict";

// The photos of this tab in a row: what each says, or how far it is.

/** One photo: ``number`` is its place in the address; it has an answer, an error, or neither yet. */
function stripItem({ number, name, source }) {
  const link = photoLink({ href: `#${number}` }, source, "Waiting\u2026", name);
  const [image, text] = link.children;
  image.addEventListener("error", () => image.classList.add("unseeable")); // a format that browsers cannot show
  const element = make("li", { class: "waiting" }, link);

  return {
    element,
    /** @param state waiting, captioning, captioned or failed; @param line is what is told of it. */
    tell(state, line, thumbnail) {
      element.className = state;
      text.textContent = line;
      if (!thumbnail) return;
      image.src = thumbnail;
      image.classList.remove("unseeable");
    },
    mark(current) {
      if (current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      if (current) element.scrollIntoView({ block: "nearest", inline: "nearest" });
    },
  };
}
