"use strict";

// A list of any length, of which only the rows near the window are elements: thousands of rows would take
// seconds and hundreds of megabytes. The rows' height is the style sheet's; each is placed by its number.

const SPARE = 12; // rows beyond each edge of the window

class LongList {
  /** @param scroller what scrolls; @param list its ol; @param makeRow (item, position) => li */
  constructor(scroller, list, makeRow) {
    Object.assign(this, { scroller, list, makeRow, items: [], rows: new Map(), whole: false });
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(scroller);
    addEventListener("beforeprint", () => this.draw((this.whole = true)));
    addEventListener("afterprint", () => this.draw((this.whole = false)));
  }

  /** Lists other items, from the first. */
  show(items) {
    this.items = items;
    this.rows.clear();
    this.list.replaceChildren();
    this.list.style.setProperty("--rows", items.length);
    this.scroller.scrollTop = 0;
    this.draw();
  }

  get rowHeight() {
    return this.list.offsetHeight / Math.max(1, this.items.length);
  }

  /** Makes the rows that are near the window, and removes the others. */
  draw() {
    const { scroller, items, rows } = this;
    const height = this.rowHeight;
    const above = height ? Math.floor(scroller.scrollTop / height) : 0;
    const fit = height ? Math.ceil(scroller.clientHeight / height) : 0;
    const first = this.whole ? 0 : Math.max(0, above - SPARE);
    const last = Math.min(items.length, this.whole ? items.length : above + fit + SPARE);
    for (const [position, row] of rows) {
      if (position < first || position >= last) {
        row.remove();
        rows.delete(position);
      }
    }
    for (let position = last - 1; position >= first; position--) {
      if (rows.has(position)) continue;
      const row = this.makeRow(items[position], position);
      row.style.setProperty("--row-number", position);
      this.list.insertBefore(row, rows.get(position + 1) ?? null);
      rows.set(position, row);
    }
    this.drawn?.();
  }

  /** Scrolls as little as is needed for a row to be seen; the row. */
  reveal(position) {
    const { scroller, rowHeight: height } = this;
    const top = position * height;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + height > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + height - scroller.clientHeight;
    this.draw();
    return this.rows.get(position);
  }
}
