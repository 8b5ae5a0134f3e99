"use strict";

// How far a caption's maps may be believed; the same measures as trust.py.

/** The total variation distance of each word's map from the mean map of the caption. */
function apartFromMean(attention) {
  const mean = (attention[0] || []).map((_, cell) => attention.reduce((sum, map) => sum + map[cell], 0) / attention.length);
  return attention.map((map) => map.reduce((sum, weight, cell) => sum + Math.abs(weight - mean[cell]), 0) / 2);
}

const percent = (share) => `${Math.round(100 * share)} %`;

/** What a gate to the image says of a word, be it the gate beta or what a sentinel leaves to the image. */
const looked = (beta, look) => (beta < look.looked ? "image counts little" : "image counts");

/** Of each word how far its map is from the mean map, and whether, how and why it is drawn quiet. */
function trustOfWords(attention, look) {
  return apartFromMean(attention).map((apart) => {
    const quiet = attention.length > 1 && apart < look.quiet;
    const why = `This map is nearly the mean map of the caption (${percent(apart)} of the attention differs): it does not tell where the word comes from`;
    return { apart, quiet, strength: quiet ? look.faded : 1, why: quiet ? why : "" };
  });
}

/** The square that holds half of what an annotation sees, around the cell of a word's highest attention. */
class FieldSquare {
  /** @param side the square's, as a share of the photo's; undefined if it was not measured. */
  constructor(grid, side) {
    Object.assign(this, { grid, side, on: false });
    this.element = make("div", { class: "field", "aria-hidden": "true" });
    this.button = side > 0 ? make("button", { type: "button", class: "sees", "aria-pressed": "false", title: "Draw the square around the word's brightest cell that holds half of what the cell sees" }, "What the cell sees") : null;
    this.button?.addEventListener("click", () => {
      this.on = !this.on;
      this.button.setAttribute("aria-pressed", String(this.on));
      this.draw();
    });
  }

  /** Stands at a word's map, or nowhere without one; what would lie outside the frame is cut off. */
  draw(map = this.map) {
    this.map = map;
    this.element.classList.toggle("on", this.on && Boolean(map));
    if (!map || !this.side) return;
    const [rows, columns] = this.grid;
    const peak = peakOf(map);
    const within = (edge) => Math.min(1, Math.max(0, edge));
    const edges = (centre) => [within(centre - this.side / 2), within(centre + this.side / 2)];
    const [left, right] = edges(((peak % columns) + 0.5) / columns);
    const [top, bottom] = edges((Math.floor(peak / columns) + 0.5) / rows);
    Object.entries({ left, top, width: right - left, height: bottom - top }).forEach(([name, share]) => (this.element.style[name] = `${100 * share}%`));
  }
}
