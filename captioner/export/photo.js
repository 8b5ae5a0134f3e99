// A photo as the model sees it: Pillow's arithmetic of resizing, so that the model sees the same pixels here.

const MOST = 4096; // pixels of a side that is decoded whole; larger photos are shrunk by the browser first
const BITS = 2 ** 22; // of Pillow's coefficients, which are integers

/** A file's pixels, upright, on white: ``{width, height, rgb}``. */
export async function readPhoto(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error("The file is not a photo that this browser can read");
  }
  const scale = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const context = onWhite(bitmap, width, height);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0, k = 0; i < rgba.length; i += 4) {
    rgb[k++] = rgba[i];
    rgb[k++] = rgba[i + 1];
    rgb[k++] = rgba[i + 2];
  }
  return { width, height, rgb, canvas: context.canvas };
}

/** A context with an image drawn on white. */
export function onWhite(image, width, height, [left, top, right, bottom] = [0, 0, image.width, image.height]) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, left, top, right - left, bottom - top, 0, 0, width, height);
  return context;
}

/** The part of a photo that the model sees: left, top, right, bottom. */
export function frameOf({ width, height }, resize) {
  if (resize === "squash") return [0, 0, width, height];
  const side = Math.min(width, height);
  const [left, top] = [(width - side) / 2, (height - side) / 2];
  return [left, top, left + side, top + side];
}

/** The square that the model sees, colour after colour: 3 x side x side bytes. */
export function square(photo, { side, resize, reducing_gap: gap }) {
  let [image, box] = [photo, frameOf(photo, resize)];
  const scales = [0, 1].map((axis) => (box[axis + 2] - box[axis]) / side);
  const factors = scales.map((scale) => Math.floor(scale / gap) || 1);
  if (Math.max(...factors) > 1) {
    const ends = [photo.width, photo.height];
    const safe = [0, 1].map((axis) => [
      Math.max(0, Math.trunc(box[axis] - 0.5 * scales[axis])),
      Math.min(ends[axis], Math.ceil(box[axis + 2] + 0.5 * scales[axis])),
    ]);
    image = reduced(photo, factors, safe);
    box = box.map((edge, i) => (edge - safe[i % 2][0]) / factors[i % 2]);
  }
  const wide = resampled(image, box[0], box[2], side);
  const rgb = transposed(resampled(transposed(wide), box[1], box[3], side)).rgb;
  const planes = new Uint8Array(rgb.length);
  for (let i = 0; i < side * side; i++) for (let c = 0; c < 3; c++) planes[c * side * side + i] = rgb[3 * i + c];
  return planes;
}

/** Means of blocks of pixels. */
function reduced({ width, rgb }, [across, down], [[left, right], [top, bottom]]) {
  const [columns, rows] = [Math.ceil((right - left) / across), Math.ceil((bottom - top) / down)];
  const found = new Uint8Array(3 * columns * rows);
  for (let y = 0, k = 0; y < rows; y++) {
    const [y0, y1] = [top + y * down, Math.min(bottom, top + (y + 1) * down)];
    for (let x = 0; x < columns; x++) {
      const [x0, x1] = [left + x * across, Math.min(right, left + (x + 1) * across)];
      const count = (y1 - y0) * (x1 - x0);
      for (let c = 0; c < 3; c++) {
        let sum = count >> 1;
        for (let v = y0; v < y1; v++) for (let u = x0; u < x1; u++) sum += rgb[3 * (v * width + u) + c];
        found[k++] = Math.floor(sum / count);
      }
    }
  }
  return { width: columns, height: rows, rgb: found };
}

/** Rows resampled from ``begin`` to ``end`` to ``size`` pixels, by a triangle as wide as the pixels are apart. */
function resampled(image, begin, end, size) {
  const { width, height, rgb } = image;
  if (width === size && begin === 0 && end === size) return image;
  const scale = (end - begin) / size;
  const support = Math.max(1, scale);
  const found = new Uint8Array(3 * size * height);
  for (let x = 0; x < size; x++) {
    const centre = begin + (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(width, Math.trunc(centre + support + 0.5));
    const weights = [];
    for (let u = first; u < last; u++) weights.push(Math.max(0, 1 - Math.abs((u - centre + 0.5) / support)));
    const sum = weights.reduce((a, b) => a + b, 0);
    const whole = weights.map((weight) => Math.floor(0.5 + (weight / sum) * BITS));
    for (let y = 0; y < height; y++) {
      for (let c = 0; c < 3; c++) {
        let value = BITS / 2;
        for (let i = 0; i < whole.length; i++) value += whole[i] * rgb[3 * (y * width + first + i) + c];
        found[3 * (y * size + x) + c] = Math.min(255, Math.floor(value / BITS));
      }
    }
  }
  return { width: size, height, rgb: found };
}

function transposed({ width, height, rgb }) {
  const found = new Uint8Array(rgb.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [from, to] = [3 * (y * width + x), 3 * (x * height + y)];
      found[to] = rgb[from];
      found[to + 1] = rgb[from + 1];
      found[to + 2] = rgb[from + 2];
    }
  }
  return { width: height, height: width, rgb: found };
}
