"use strict";

// Attention as colours, with the arithmetic of overlay.py.

/** The look as it is written in a page, with its colours as numbers. */
function readLook(look) {
  return { ...look, colours: Uint8Array.from(look.colours.match(/../g), (hex) => parseInt(hex, 16)) };
}

/** How much each pixel along one side takes from each cell: a Gaussian of their distance. */
function gaussianWeights(pixels, cells, spread) {
  const weights = new Float32Array(pixels * cells);
  for (let p = 0; p < pixels; p++) {
    const centre = ((p + 0.5) * cells) / pixels - 0.5;
    let sum = 0;
    for (let c = 0; c < cells; c++) {
      sum += weights[p * cells + c] = Math.exp(-(((centre - c) / spread) ** 2) / 2);
    }
    for (let c = 0; c < cells; c++) weights[p * cells + c] /= sum;
  }
  return weights;
}

/** Paints attention over one photo at one size. */
class Painter {
  /** @param image the loaded photo; @param frame left, top, right, bottom of what the model saw of it. */
  constructor(canvas, image, frame, grid, look) {
    this.canvas = canvas;
    this.strength = look.strength;
    this.tints = Float32Array.from(look.colours, (channel) => channel * look.strength);
    [this.rows, this.columns] = grid;
    const { width, height } = canvas;
    this.down = gaussianWeights(height, this.rows, look.spread);
    this.across = gaussianWeights(width, this.columns, look.spread);
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    const [left, top, right, bottom] = frame;
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(image, left, top, right - left, bottom - top, 0, 0, width, height);
    this.pixels = this.context.getImageData(0, 0, width, height);
    const rgba = this.pixels.data;
    this.base = new Float32Array(width * height); // what the photo in grey gives to each pixel
    for (let i = 0; i < this.base.length; i++) {
      const grey = (rgba[4 * i] * 19595 + rgba[4 * i + 1] * 38470 + rgba[4 * i + 2] * 7471 + 32768) >> 16;
      this.base[i] = (1 - look.strength) * grey;
    }
  }

  /**
   * @param attention one word's weights, row after row; @param top the heat of the brightest colour.
   * @param part of the colours' strength, below 1 for a quiet map.
   */
  paint(attention, top, part = 1) {
    const { rows, columns, down, across, base, strength } = this;
    const tints = part === 1 ? this.tints : this.tints.map((tint) => part * tint);
    const bare = (1 - part * strength) / (1 - strength); // what the grey photo gains by it
    const { width, height } = this.canvas;
    const rgba = this.pixels.data;
    const wide = new Float32Array(rows * width); // upsampled along the rows alone
    for (let r = 0; r < rows; r++) {
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (let c = 0; c < columns; c++) sum += attention[r * columns + c] * across[x * columns + c];
        wide[r * width + x] = (sum * rows * columns * 256) / top;
      }
    }
    const line = new Float32Array(width);
    for (let y = 0, i = 0; y < height; y++) {
      line.fill(0);
      for (let r = 0; r < rows; r++) {
        const weight = down[y * rows + r];
        for (let x = 0; x < width; x++) line[x] += weight * wide[r * width + x];
      }
      for (let x = 0; x < width; x++, i++) {
        const colour = 3 * Math.min(255, line[x] | 0);
        const grey = bare * base[i];
        rgba[4 * i] = grey + tints[colour];
        rgba[4 * i + 1] = grey + tints[colour + 1];
        rgba[4 * i + 2] = grey + tints[colour + 2];
      }
    }
    this.context.putImageData(this.pixels, 0, 0);
  }
}

/** A canvas for a frame, of its shape, with ``side`` pixels along the longer side. */
function canvasFor([left, top, right, bottom], side) {
  const scale = side / Math.max(right - left, bottom - top);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round((right - left) * scale));
  canvas.height = Math.max(1, Math.round((bottom - top) * scale));
  return canvas;
}

/** The cell of a word's highest attention. */
const peakOf = (attention) => attention.indexOf(Math.max(...attention));

/** Where in the frame a word's attention is highest, in words. */
function whereabouts(attention, [rows, columns]) {
  const peak = peakOf(attention);
  const third = (cell, cells) => Math.min(2, Math.floor((3 * (cell + 0.5)) / cells));
  const down = ["top", "", "bottom"][third(Math.floor(peak / columns), rows)];
  const across = ["left", "", "right"][third(peak % columns, columns)];
  return [down, across].filter(Boolean).join(" ") || "centre";
}
