"use strict";
// Dots, written straight into the pixels of the canvas: thousands a frame without help of a graphics card.
// All lengths here are device pixels.

const RIM = 48; // the buffer reaches beyond the canvas, so that a dot on its border needs no clipping
const FOG = 8; // shades from far to near
let buffer = null, pixels = null, masks = new Map();

function clearDots(width, height) {
  const full = width + 2 * RIM;
  if (!buffer || buffer.width !== full || buffer.height !== height + 2 * RIM) {
    buffer = new ImageData(full, height + 2 * RIM);
    pixels = new Uint32Array(buffer.data.buffer);
    masks = new Map();
  }
  pixels.fill(0);
}

const putDots = (target) => target.putImageData(buffer, -RIM, -RIM);

// Which pixels a disc covers, as steps from its centre's pixel: those in full, and those at its edge in part.
function discMask(radius, right, below) {
  const inner = [], edge = [], cover = [], reach = Math.ceil(radius) + 1;
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const part = radius + 0.5 - Math.hypot(dx + 0.5 - right, dy + 0.5 - below);
      if (part >= 1) inner.push(dy * buffer.width + dx);
      else if (part > 0.03) { edge.push(dy * buffer.width + dx); cover.push(Math.round(part * 255)); }
    }
  }
  return { inner: Int32Array.from(inner), edge: Int32Array.from(edge), cover: Uint8Array.from(cover) };
}

function disc(x, y, radius, colour) {
  const column = Math.floor(x), row = Math.floor(y);
  if (!(column > -RIM / 2 && row > -RIM / 2 && column < buffer.width - 1.5 * RIM && row < buffer.height - 1.5 * RIM)) return;
  // The centre is kept to a quarter, the radius to an eighth of a pixel.
  const right = Math.floor((x - column) * 4), below = Math.floor((y - row) * 4);
  const size = Math.round(Math.min(radius, RIM / 2 - 2) * 8), key = size * 16 + right * 4 + below;
  let mask = masks.get(key);
  if (!mask) masks.set(key, mask = discMask(size / 8, (right + 0.5) / 4, (below + 0.5) / 4));
  const { inner, edge, cover } = mask, at = (row + RIM) * buffer.width + column + RIM;
  for (let k = 0; k < inner.length; k++) pixels[at + inner[k]] = colour;
  for (let k = 0; k < edge.length; k++) pixels[at + edge[k]] = over(pixels[at + edge[k]], colour, cover[k]);
}

// Lay `share` of 255 parts of a colour over a pixel.
function over(pixel, colour, share) {
  const alpha = pixel >>> 24;
  if (alpha === 0) return ((colour & 0xffffff) | (share << 24)) >>> 0;
  const red = (pixel & 255) + ((((colour & 255) - (pixel & 255)) * share) >> 8);
  const green = (pixel >> 8 & 255) + ((((colour >> 8 & 255) - (pixel >> 8 & 255)) * share) >> 8);
  const blue = (pixel >> 16 & 255) + ((((colour >> 16 & 255) - (pixel >> 16 & 255)) * share) >> 8);
  return ((alpha + (((255 - alpha) * share) >> 8)) << 24 | blue << 16 | green << 8 | red) >>> 0;
}

// A "#rrggbb" as a pixel, `strength` (0 to 1) of it over a ground.
function shade(colour, ground, strength) {
  const part = (text, k) => parseInt(text.slice(2 * k + 1, 2 * k + 3), 16);
  const [red, green, blue] = [0, 1, 2].map((k) =>
    Math.round(part(ground, k) + (part(colour, k) - part(ground, k)) * strength));
  return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
}
