"use strict";
// The page around the map: views, legend, search, hover, the chosen painting, mouse, touch and keys.

const $ = (selector) => document.querySelector(selector);
const number = (value) => value.toLocaleString("en");
const make = (tag, text = "", className = "") =>
  Object.assign(document.createElement(tag), { textContent: text, className });

function fillThumbnail(target, i, longest) {
  const [width, height] = thumbnailSize(i, longest);
  const ratio = Math.max(1, devicePixelRatio);
  target.width = Math.round(width * ratio);
  target.height = Math.round(height * ratio);
  target.style.width = `${width}px`;
  target.style.height = `${height}px`;
  const pen = target.getContext("2d");
  pen.imageSmoothingQuality = "high";
  target.dataset.painting = i; // the tip's canvas may have gone on to another painting meanwhile
  const paint = () => {
    if (target.dataset.painting !== String(i)) return;
    if (!drawThumbnail(pen, i, 0, 0, target.width, target.height)) {
      document.addEventListener("sheet", paint, { once: true });
    }
  };
  paint();
}

// ---- views
function showView(view) {
  const from = points.slice(), begin = { ...camera }, start = performance.now();
  const end = { yaw: view.dims === 3 ? 0.6 : 0, pitch: view.dims === 3 ? 0.35 : 0, zoom: 1, x: 0, y: 0 };
  const span = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 600;
  state.view = view;
  [...$("#views").children].forEach((button, v) => button.setAttribute("aria-pressed", views[v] === view));
  $("#axis-x").textContent = view.dims === 2 ? view.axes[0] : "";
  $("#axis-y").textContent = view.dims === 2 ? view.axes[1] : "";
  $("#caption").textContent = view.caption;
  $("#hint").textContent = view.dims === 3
    ? "Drag to turn, Shift and drag to move, wheel to zoom" : "Drag to move, wheel to zoom, click for neighbours";
  const step = (now) => {
    const done = span ? Math.min(1, (now - start) / span) : 1, eased = done * done * (3 - 2 * done);
    for (let p = 0; p < points.length; p++) points[p] = from[p] + (view.positions[p] - from[p]) * eased;
    for (const part of Object.keys(camera)) camera[part] = begin[part] + (end[part] - begin[part]) * eased;
    moving = done < 1;
    draw();
    if (moving && state.view === view) requestAnimationFrame(step);
  };
  step(start);
}

// ---- legend
function toggle(group, alone) {
  const { on } = state.field;
  const only = on[group] && on.every((value, g) => value === (g === group));
  if (alone) on.forEach((_, g) => { on[g] = only || g === group; });
  else on[group] = !on[group];
  refresh();
}

function legendEntry(group) {
  const { field } = state, entry = make("li"), button = make("button");
  button.type = "button";
  button.append(make("span", "", "dot"), make("span", field.names[group], "name"), make("span", "", "count"));
  button.title = field.names[group];
  button.addEventListener("click", (event) => toggle(group, event.shiftKey));
  button.addEventListener("dblclick", () => toggle(group, true));
  for (const [name, value] of [["mouseenter", group], ["focus", group], ["mouseleave", -1], ["blur", -1]]) {
    button.addEventListener(name, () => { state.preview = field.on[group] ? value : -1; redraw(); });
  }
  entry.append(button);
  return entry;
}

function buildLegend() {
  $("#legend").replaceChildren(...state.field.names.map((_, group) => legendEntry(group)));
  refresh();
}

function refresh() {
  filter();
  const { field } = state;
  let groups = 0;
  [...$("#legend").children].forEach((entry, g) => {
    const [dot, , tally] = entry.firstChild.children;
    entry.hidden = !field.matched[g];
    entry.className = field.paint[g] === page.other ? "grey" : "";
    entry.firstChild.setAttribute("aria-pressed", field.on[g]);
    dot.style.background = dot.style.borderColor = field.paint[g];
    tally.textContent = number(field.matched[g]);
    groups += field.matched[g] > 0;
  });
  $("#groups").textContent = `${number(groups)} ${groups === 1 ? "group" : "groups"}`;
  $("#status").textContent = state.shownCount === count
    ? `${number(count)} paintings` : `${number(state.shownCount)} of ${number(count)} paintings shown`;
  redraw();
}

function setAll(value) {
  state.field.on.fill(value);
  refresh();
}

// ---- one painting
const valueOf = (field, i) => (field.exact ? field.exact[i] : field.names[field.codes[i]]);
const describe = (i) => page.titles[i] || "Untitled";

function hover(i, x, y) {
  const tip = $("#tip"), changed = i !== state.hover;
  state.hover = i;
  tip.hidden = i < 0;
  canvas.classList.toggle("pointing", i >= 0);
  if (i >= 0) {
    if (changed) {
      const [picture, title, artist, group] = tip.children;
      fillThumbnail(picture, i, Math.min(176, Math.max(96, thumbnails.cell)));
      title.textContent = describe(i);
      artist.textContent = page.artists[i];
      const value = valueOf(state.field, i);
      group.textContent = value === page.artists[i] ? "" : `${state.field.name}: ${value}`;
    }
    const left = x + 18 + tip.offsetWidth > size.width ? x - 18 - tip.offsetWidth : x + 18;
    const top = Math.min(y + 14, size.height - tip.offsetHeight - 6);
    tip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
  }
  if (changed) redraw();
}

// A painting to go on to: its picture, its names in full, and how alike it is to the chosen one.
function entryOf(i, side, score) {
  const entry = make("li"), button = make("button"), words = make("span", "", "words");
  const place = make("span", "", "place"), picture = make("canvas");
  place.style.width = `${side}px`;
  fillThumbnail(picture, i, side);
  place.append(picture);
  button.type = "button";
  button.title = `${describe(i)}, ${page.artists[i]}`;
  words.append(make("i", describe(i)), make("span", page.artists[i]));
  if (score !== undefined) words.append(make("small", `score ${score.toFixed(3)}`));
  button.append(place, words);
  button.addEventListener("click", () => pin(i));
  for (const [name, value] of [["mouseenter", i], ["focus", i], ["mouseleave", -1], ["blur", -1]]) {
    button.addEventListener(name, () => { state.hover = value; redraw(); });
  }
  entry.append(button);
  return entry;
}

// On a server: the way to the painting's page, and a larger picture of it.
function show(i) {
  const title = $("#card h2"), canvas = $("#card > canvas"), image = new Image();
  title.replaceChildren(Object.assign(make("a", describe(i)), { href: page.links[i] }));
  image.onload = () => {
    if (state.pinned === i) canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  };
  image.src = `/v1${page.links[i]}/thumbnail?size=512`;
}

const FOUND = 60;

function showMatches() {
  const found = [];
  for (let i = 0; i < count && found.length < FOUND; i++) if (state.words.length && state.shown[i]) found.push(i);
  $("#matches").hidden = !found.length;
  $("#matches").replaceChildren(...found.map((i) => entryOf(i, 40)));
}

function pin(i) {
  state.pinned = i;
  const card = $("#card");
  card.hidden = i < 0;
  if (i >= 0) {
    fillThumbnail(card.querySelector("canvas"), i, page.links ? 190 : Math.min(190, 2 * thumbnails.cell));
    card.querySelector("h2").textContent = describe(i);
    card.querySelector(".artist").textContent = page.artists[i];
    card.querySelector("dl").replaceChildren(...fields.filter((field) => field.name !== "artist").map((field) => {
      const row = make("div");
      row.append(make("dt", `${field.name}:`), make("dd", valueOf(field, i)));
      return row;
    }));
    $("#neighbours").replaceChildren(...nearestTo(i).map((j, k) => entryOf(j, 84, scores?.[i * neighboursEach + k])));
    if (page.links) show(i);
    card.querySelector("h3").hidden = !nearestTo(i).length;
    card.scrollTop = 0;
  }
  redraw();
}

// ---- moving about
function zoomAt(x, y, factor) {
  const before = scale();
  camera.zoom = Math.min(80, Math.max(0.5, camera.zoom * factor));
  camera.x += (x - size.width / 2) * (1 / scale() - 1 / before);
  camera.y -= (y - size.height / 2) * (1 / scale() - 1 / before);
  redraw();
}

function drag(dx, dy, turn) {
  if (turn) {
    camera.yaw += dx * 0.008;
    camera.pitch = Math.min(1.5, Math.max(-1.5, camera.pitch + dy * 0.008));
  } else {
    camera.x += dx / scale();
    camera.y -= dy / scale();
  }
  redraw();
}

const fingers = new Map();
let travelled = 0;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
  travelled = fingers.size > 1 ? Infinity : 0;
});
canvas.addEventListener("pointermove", (event) => {
  const { offsetX: x, offsetY: y } = event, last = fingers.get(event.pointerId);
  if (!last) return hover(pick(x, y), x, y);
  const dx = x - last[0], dy = y - last[1];
  travelled += Math.hypot(dx, dy);
  if (fingers.size === 2) {
    const [, other] = [...fingers].find(([id]) => id !== event.pointerId);
    const spread = Math.hypot(x - other[0], y - other[1]) / Math.hypot(last[0] - other[0], last[1] - other[1]);
    zoomAt((x + other[0]) / 2, (y + other[1]) / 2, spread || 1);
    drag(dx / 2, dy / 2, false);
  } else if (travelled > 4) {
    hover(-1);
    drag(dx, dy, is3d() && !event.shiftKey);
  }
  fingers.set(event.pointerId, [x, y]);
});
canvas.addEventListener("pointerup", (event) => {
  fingers.delete(event.pointerId);
  if (travelled <= 4) pin(pick(event.offsetX, event.offsetY));
});
canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
canvas.addEventListener("pointerleave", () => hover(-1));
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)));
}, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (moves[event.key]) drag(...moves[event.key], is3d());
  else if ("+=".includes(event.key)) zoomAt(size.width / 2, size.height / 2, 1.25);
  else if (event.key === "-") zoomAt(size.width / 2, size.height / 2, 0.8);
  else if (event.key === "0") showView(state.view);
  else return;
  event.preventDefault();
});
addEventListener("keydown", (event) => { if (event.key === "Escape") pin(-1); });

// ---- the rest of the page
function resize() {
  const box = $("#stage").getBoundingClientRect();
  size.width = Math.max(1, box.width);
  size.height = Math.max(1, box.height);
  size.ratio = printing ? 3 : devicePixelRatio || 1;
  canvas.width = Math.round(size.width * size.ratio);
  canvas.height = Math.round(size.height * size.ratio);
  draw(); // at once: a resized canvas is blank
}

function print(on) {
  printing = on;
  hover(-1);
  resize();
}

function start() {
  $("#note").textContent = page.note;
  $("#views").replaceChildren(...views.map((view) => {
    const button = make("button", view.name);
    button.type = "button";
    button.addEventListener("click", () => showView(view));
    return button;
  }));
  $("#field").replaceChildren(...fields.map((field, f) => Object.assign(make("option", field.name), { value: f })));
  $("#field").value = fields.indexOf(state.field);
  $("#field").addEventListener("change", (event) => { state.field = fields[event.target.value]; buildLegend(); });
  $("#search").addEventListener("input", (event) => {
    state.words = plain(event.target.value).split(/\s+/).filter(Boolean);
    refresh();
    showMatches();
  });
  $("#search").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && state.words.length) pin(state.shown.indexOf(1));
  });
  $("#all").addEventListener("click", () => setAll(true));
  $("#none").addEventListener("click", () => setAll(false));
  $("#unpin").addEventListener("click", () => pin(-1));
  $("#reset").addEventListener("click", () => showView(state.view));
  $("#pictures").checked = state.pictures;
  $("#pictures").addEventListener("change", (event) => { state.pictures = event.target.checked; redraw(); });
  document.addEventListener("sheet", redraw);
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  new ResizeObserver(resize).observe($("#stage"));
  buildLegend();
  showView(state.view);
}

start();
