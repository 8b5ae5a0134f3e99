"use strict";

// A caption as one picture: the photo, then for each word where the model looked.

const CELL = 320; // pixels, the width of a panel
const [EDGE, SPACE, ABOVE, BELOW] = [48, 24, 40, 44];
const SHEET = { paper: "#ffffff", ink: "#1a1a1a", faint: "#6f6f6f", serif: "Georgia, 'Noto Serif', serif", sans: "Arial, 'Noto Sans', sans-serif" };

/** The lines that a text takes where one may be ``width`` pixels long. */
function wrapped(context, text, width) {
  const lines = [""];
  for (const part of text.split(/(?<=\s)/)) {
    const longer = lines.at(-1) + part;
    if (lines.at(-1) && context.measureText(longer.trimEnd()).width > width) lines.push(part);
    else lines[lines.length - 1] = longer;
  }
  return lines.map((line) => line.trimEnd());
}

/** @param image the loaded photo. @returns a canvas. */
function drawFigure(entry, look, image) {
  const { words, frame, size, grid } = entry;
  const panels = 1 + words.length;
  const columns = panels <= 4 ? panels : [5, 4, 6].reduce((best, n) => ((-panels % n) + n) % n < ((-panels % best) + best) % best ? n : best);
  const scale = CELL / size[0];
  const tall = Math.round(size[1] * scale);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const width = Math.max(640, 2 * EDGE + columns * CELL + (columns - 1) * SPACE);
  const title = `36px ${SHEET.serif}`;
  context.font = title;
  const lines = wrapped(context, entry.text || "(no words)", width - 2 * EDGE);
  const head = EDGE + (entry.name ? 32 : 0) + 46 * lines.length + 20;
  canvas.width = width;
  canvas.height = head + Math.ceil(panels / columns) * (ABOVE + tall + BELOW) + EDGE / 2;
  const write = (text, x, y, font, colour, most) => {
    [context.font, context.fillStyle] = [font, colour];
    context.fillText(text, x, y, most);
  };
  context.fillStyle = SHEET.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  if (entry.name) write(entry.name, EDGE, EDGE + 8, `18px ${SHEET.sans}`, SHEET.faint, width - 2 * EDGE);
  lines.forEach((line, i) => write(line, EDGE, head - 46 * (lines.length - 1 - i) - 20, title, SHEET.ink));

  const seen = canvasFor(frame, Math.max(frame[2] - frame[0], frame[3] - frame[1]) * scale);
  const painter = new Painter(seen, image, frame, grid, look);
  const trust = trustOfWords(entry.attention, look);
  for (let i = 0; i < panels; i++) {
    const x = EDGE + (i % columns) * (CELL + SPACE);
    const y = head + Math.floor(i / columns) * (ABOVE + tall + BELOW) + ABOVE;
    context.globalAlpha = i ? 0.28 : 1; // as on the page, what the model did not see stands back
    context.drawImage(image, x, y, CELL, tall);
    context.globalAlpha = 1;
    if (!i) continue;
    painter.paint(entry.attention[i - 1], entry.top, trust[i - 1].strength);
    context.drawImage(seen, x + frame[0] * scale, y + frame[1] * scale, seen.width, seen.height);
    write(words[i - 1], x, y - 12, `24px ${SHEET.serif}`, trust[i - 1].quiet ? SHEET.faint : SHEET.ink, CELL);
    const gate = entry.betas ? `    \u03b2 ${number(entry.betas[i - 1])} ${looked(entry.betas[i - 1], look)}` : "";
    write(`p ${number(entry.probabilities[i - 1])}${gate}`, x, y + tall + 24, `16px ${SHEET.sans}`, SHEET.faint);
  }
  return canvas;
}
