"use strict";
// The map itself: a camera over points in a cube of half-width one, and what is painted on the canvas.
// A 2-D view is a 3-D one seen from the front without depth, so that one view can glide into another.

const canvas = document.getElementById("map");
const context = canvas.getContext("2d");
const EYE = 3; // distance of the eye from the centre, in half-widths of the cloud
const THEMES = {
  light: { wall: "#fffefb", ink: "#211e1a", soft: "#6d665c", line: "#d8d1c3", ghost: "#e6e1d7" },
  dark: { wall: "#1c1a17", ink: "#ece6da", soft: "#a39a8b", line: "#4a443a", ghost: "#35312a" },
};
const camera = { yaw: 0, pitch: 0, zoom: 1, x: 0, y: 0 };
const size = { width: 1, height: 1, ratio: 1 };
const spot = { x: new Float32Array(count), y: new Float32Array(count), near: new Float32Array(count) };
const points = new Float32Array(state.view.positions); // where each point is now, on its way to the view
const dark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;

const theme = () => (dark.matches && !printing ? THEMES.dark : THEMES.light);
const is3d = () => state.view.dims === 3;
const MARGIN = 44; // for the names of the axes, and half a picture
const scale = () => camera.zoom * Math.min(
  Math.max(1, size.width / 2 - MARGIN) / state.view.extent[0],
  Math.max(1, size.height / 2 - MARGIN) / state.view.extent[1]);

// A fixed shuffle, so that no group always lies on top of another.
const shuffled = Uint32Array.from({ length: count }, (_, i) => i);
for (let i = count - 1, seed = 1; i > 0; i--) {
  seed = (seed * 48271) % 2147483647;
  const j = seed % (i + 1);
  [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
}

function seen(x, y, z) {
  const cosYaw = Math.cos(camera.yaw), sinYaw = Math.sin(camera.yaw);
  const cosPitch = Math.cos(camera.pitch), sinPitch = Math.sin(camera.pitch);
  const across = cosYaw * x + sinYaw * z, deep = cosYaw * z - sinYaw * x;
  const up = cosPitch * y - sinPitch * deep, near = EYE / (EYE - sinPitch * y - cosPitch * deep);
  const unit = scale();
  return [size.width / 2 + (across * near + camera.x) * unit, size.height / 2 - (up * near + camera.y) * unit, near];
}

function locate() {
  const cosYaw = Math.cos(camera.yaw), sinYaw = Math.sin(camera.yaw);
  const cosPitch = Math.cos(camera.pitch), sinPitch = Math.sin(camera.pitch), unit = scale();
  for (let i = 0, p = 0; i < count; i++, p += 3) { // seen(), unrolled: this runs for all points each frame
    const across = cosYaw * points[p] + sinYaw * points[p + 2];
    const deep = cosYaw * points[p + 2] - sinYaw * points[p];
    const near = EYE / (EYE - sinPitch * points[p + 1] - cosPitch * deep);
    spot.x[i] = size.width / 2 + (across * near + camera.x) * unit;
    spot.y[i] = size.height / 2 - ((cosPitch * points[p + 1] - sinPitch * deep) * near + camera.y) * unit;
    spot.near[i] = near;
  }
}

function inSight(i, margin) {
  return spot.x[i] > -margin && spot.x[i] < size.width + margin
    && spot.y[i] > -margin && spot.y[i] < size.height + margin;
}

function dotRadius() {
  const radius = Math.min(6, Math.max(2.4, 70 / Math.sqrt(count) + 1.7));
  return Math.round(4 * radius * Math.min(2.4, Math.max(1, camera.zoom) ** 0.35)) / 4;
}

function drawDots(order, skip) {
  const { field, shown, preview } = state, { wall, ghost } = theme(), { ratio } = size;
  const radius = dotRadius() * ratio, deep = is3d();
  const faint = shade(ghost, wall, 1), rim = radius / ratio >= 4 ? shade(wall, wall, 1) : 0;
  const grey = field.paint.map((colour) => colour === page.other);
  const shades = field.paint.map((colour, g) => Array.from({ length: FOG }, (_, level) =>
    shade(colour, wall, deep ? 0.35 + (0.65 * level) / (FOG - 1) : grey[g] ? 0.75 : 1)));
  const put = (i, colour) => {
    const reach = deep ? radius * spot.near[i] ** 1.5 : radius;
    if (rim) disc(spot.x[i] * ratio, spot.y[i] * ratio, reach + ratio, rim);
    disc(spot.x[i] * ratio, spot.y[i] * ratio, reach, colour);
  };
  const isGhost = (i) => !shown[i] || (preview >= 0 && field.codes[i] !== preview);
  const level = (i) => Math.min(FOG - 1, Math.max(0, Math.floor(((spot.near[i] - 0.75) / 0.55) * FOG)));
  for (const i of order) if (isGhost(i)) put(i, faint);
  // Groups without a colour of their own go below those that have one; in 3-D depth decides.
  for (const low of deep ? [null] : [true, false]) {
    for (const i of order) {
      const group = field.codes[i];
      if (isGhost(i) || skip.has(i) || (!deep && grey[group] !== low)) continue;
      put(i, shades[group][deep ? level(i) : FOG - 1]);
    }
  }
}

// Pictures: in 2-D wherever there is room, in a fixed order, so that moving the map changes none of them.
let layout = { key: "", list: [] };
function pictureSide() {
  const room = Math.sqrt((size.width * size.height) / Math.max(1, state.shownCount));
  return Math.min(128, Math.min(72, Math.max(34, 0.8 * room)) * Math.max(1, camera.zoom) ** 0.4);
}

function pictureLayout(order) {
  if (!state.pictures || (is3d() && state.shownCount > page.fewPaintings)) return [];
  const longest = pictureSide();
  if (is3d()) {
    return Array.from(order).filter((i) => state.shown[i])
      .map((i) => ({ i, size: thumbnailSize(i, longest * 0.8 * spot.near[i] ** 1.5) }));
  }
  const key = [state.revision, state.view.name, size.width, size.height, camera.zoom, moving ? spot.x[0] : ""].join();
  if (layout.key !== key) layout = { key, list: packed(longest) };
  return layout.list;
}

function packed(longest) {
  const cells = new Map(), list = [];
  for (const i of shuffled) {
    if (!state.shown[i]) continue;
    const box = { i, size: thumbnailSize(i, longest), x: spot.x[i], y: spot.y[i] };
    const column = Math.floor(box.x / longest), row = Math.floor(box.y / longest);
    const near = (c, r) => (cells.get(c * 65536 + r) || []).some((other) =>
      Math.abs(other.x - box.x) < (other.size[0] + box.size[0]) / 2 + 5
      && Math.abs(other.y - box.y) < (other.size[1] + box.size[1]) / 2 + 5);
    let crowded = false;
    for (let c = column - 1; c <= column + 1 && !crowded; c++) {
      for (let r = row - 1; r <= row + 1 && !crowded; r++) crowded = near(c, r);
    }
    if (crowded) continue;
    const cell = column * 65536 + row;
    if (!cells.has(cell)) cells.set(cell, []);
    cells.get(cell).push(box);
    list.push(box);
  }
  return list;
}

function drawPicture(i, [width, height]) {
  const { field, preview } = state;
  const x = spot.x[i] - width / 2, y = spot.y[i] - height / 2;
  context.globalAlpha = preview >= 0 && field.codes[i] !== preview ? 0.12 : 1;
  context.fillStyle = theme().wall;
  context.fillRect(x - 3, y - 3, width + 6, height + 6);
  context.fillStyle = field.paint[field.codes[i]];
  context.fillRect(x - 2, y - 2, width + 4, height + 4);
  drawThumbnail(context, i, x, y, width, height);
  context.globalAlpha = 1;
}

// The lines of the axes go below the dots, their names (in 3-D; a 2-D view has them at its sides) above.
function drawAxes(names) {
  if (!state.view.origin) return;
  const [ox, oy, oz] = state.view.origin, reach = is3d() ? 1 : 1000;
  Object.assign(context, {
    font: "12.5px Georgia, 'DejaVu Serif', serif", textAlign: "center",
    strokeStyle: names ? theme().wall : theme().line, fillStyle: theme().soft, lineWidth: names ? 4 : 1,
  });
  [[1, 0, 0], [0, 1, 0], [0, 0, 1]].slice(0, state.view.dims).forEach(([x, y, z], axis) => {
    const from = seen(ox - reach * x, oy - reach * y, oz - reach * z);
    const to = seen(ox + reach * x, oy + reach * y, oz + reach * z);
    if (names) {
      context.strokeText(state.view.axes[axis], to[0], to[1] - 6);
      context.fillText(state.view.axes[axis], to[0], to[1] - 6);
      return;
    }
    context.beginPath();
    context.moveTo(from[0], from[1]);
    context.lineTo(to[0], to[1]);
    context.stroke();
  });
}

function ring(i, radius, colour) {
  context.beginPath();
  context.arc(spot.x[i], spot.y[i], radius, 0, 2 * Math.PI);
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.stroke();
}

const nearestTo = (i) => Array.from(neighbours.subarray(i * neighboursEach, (i + 1) * neighboursEach)).filter((j) => j >= 0);

function drawPinned(longest) {
  const i = state.pinned, near = nearestTo(i);
  context.strokeStyle = theme().ink;
  context.lineWidth = 1;
  context.globalAlpha = 0.55;
  context.beginPath();
  for (const j of near) {
    context.moveTo(spot.x[i], spot.y[i]);
    context.lineTo(spot.x[j], spot.y[j]);
  }
  context.stroke();
  context.globalAlpha = 1;
  for (const j of near) drawPicture(j, thumbnailSize(j, longest * 0.85));
  const own = thumbnailSize(i, longest * 1.35);
  drawPicture(i, own);
  context.lineWidth = 2;
  context.strokeStyle = theme().ink;
  context.strokeRect(spot.x[i] - own[0] / 2 - 4, spot.y[i] - own[1] / 2 - 4, own[0] + 8, own[1] + 8);
}

let boxes = []; // pictures as last drawn, for the pointer
function draw() {
  context.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
  context.imageSmoothingQuality = "high";
  locate();
  const order = is3d() ? shuffled.slice().sort((a, b) => spot.near[a] - spot.near[b]) : shuffled;
  boxes = pictureLayout(order);
  clearDots(canvas.width, canvas.height);
  drawDots(order, new Set(boxes.map((box) => box.i)));
  putDots(context);
  context.globalCompositeOperation = "destination-over"; // the axes run below the dots
  drawAxes(false);
  context.globalCompositeOperation = "source-over";
  for (const { i, size: sides } of boxes) if (inSight(i, 80)) drawPicture(i, sides);
  if (state.pinned >= 0) drawPinned(52);
  if (is3d()) drawAxes(true);
  if (state.hover >= 0) ring(state.hover, dotRadius() + 4, theme().ink);
}

// One drawing a frame, however many events ask for it.
let asked = 0, moving = false;
function redraw() {
  asked ||= requestAnimationFrame(() => { asked = 0; draw(); });
}

// The painting under a point of the canvas, or -1.
function pick(x, y) {
  for (let b = boxes.length - 1; b >= 0; b--) {
    const { i, size: [width, height] } = boxes[b];
    if (Math.abs(spot.x[i] - x) <= width / 2 && Math.abs(spot.y[i] - y) <= height / 2) return i;
  }
  let best = -1, reach = (dotRadius() + 5) ** 2;
  for (let i = 0; i < count; i++) {
    const distance = (spot.x[i] - x) ** 2 + (spot.y[i] - y) ** 2;
    if (state.shown[i] && distance < reach) [best, reach] = [i, distance];
  }
  return best;
}
