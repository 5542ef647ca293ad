"use strict";
// The data of the page: unpacked once; what is shown and in which colour; the thumbnails.

const page = JSON.parse(document.getElementById("data").textContent);
const count = page.titles.length;

function unpack(text, Type) {
  return new Type(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

const views = page.views.map((view) => ({ ...view, positions: unpack(view.positions, Float32Array) }));
const fields = page.fields.map((field) => ({
  ...field,
  codes: unpack(field.codes, Uint32Array),
  on: field.names.map(() => true), // which groups the reader has left on
  matched: field.counts.slice(), // paintings of each group that the search leaves
  paint: field.colours.slice(), // colours in use; see assignColours
}));
const neighbours = unpack(page.neighbours, Int32Array);
const scores = page.scores && unpack(page.scores, Float32Array);
const neighboursEach = count ? neighbours.length / count : 0;

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
const searchable = page.titles.map((title, i) => plain(`${page.artists[i]} ${title}`));

// Begin with the field asked for, else with the first text field of which most paintings have a colour of their own.
const coloured = (field) => field.counts.reduce((sum, n, g) => sum + (field.colours[g] === page.other ? 0 : n), 0);
const state = {
  field: fields.find((field) => field.name === page.start)
    ?? fields.find((field) => !field.exact && coloured(field) >= count / 2) ?? fields[0],
  view: views[0],
  words: [],
  shown: new Uint8Array(count).fill(1),
  shownCount: count,
  preview: -1, // the legend group under the pointer
  hover: -1,
  pinned: -1,
  pictures: count <= page.fewPaintings,
  revision: 0, // grows when what is shown changes
};

// Recompute which paintings the search and the legend leave.
function filter() {
  const { field, words, shown } = state;
  field.matched.fill(0);
  state.shownCount = 0;
  for (let i = 0; i < count; i++) {
    const found = words.every((word) => searchable[i].includes(word));
    const group = field.codes[i];
    if (found) field.matched[group] += 1;
    shown[i] = found && field.on[group] ? 1 : 0;
    state.shownCount += shown[i];
  }
  assignColours(field);
  state.revision += 1;
}

// When few groups are left, each gets a colour of its own: those that have one keep it.
function assignColours(field) {
  field.paint = field.colours.slice();
  if (field.exact) return; // steps of a number: their colours are a scale
  const live = field.names.map((_, g) => g).filter((g) => field.on[g] && field.matched[g] && !isMissing(field, g));
  if (live.length > page.palette.length) return;
  const taken = new Set(live.map((g) => field.colours[g]));
  const free = page.palette.filter((colour) => !taken.has(colour));
  for (const g of live) if (field.colours[g] === page.other) field.paint[g] = free.shift();
}

function isMissing(field, group) {
  return field.missing && group === field.names.length - 1;
}

// Thumbnails: sheets are decoded when first needed, off the main thread.
const thumbnails = page.thumbnails;
thumbnails.sizes = unpack(thumbnails.sizes, Uint8Array);
const sheets = [...document.querySelectorAll("script.sheet")].map((node) => ({ node, picture: null, asked: false }));

function sheet(index) {
  const one = sheets[index];
  if (!one.asked) {
    one.asked = true;
    const image = new Image();
    image.src = one.node.textContent;
    image.decode().then(() => createImageBitmap(image)).then((bitmap) => {
      one.picture = bitmap;
      document.dispatchEvent(new Event("sheet"));
    });
  }
  return one.picture;
}

function thumbnailSize(i, longest) {
  const width = thumbnails.sizes[2 * i], height = thumbnails.sizes[2 * i + 1];
  const scale = longest / Math.max(width, height);
  return [Math.max(1, width * scale), Math.max(1, height * scale)];
}

// Draw thumbnail i into a rectangle; false while its sheet is still being decoded.
function drawThumbnail(context, i, x, y, width, height) {
  const perSheet = thumbnails.columns ** 2;
  const picture = sheet(Math.floor(i / perSheet));
  if (!picture) return false;
  const cell = i % perSheet;
  const left = (cell % thumbnails.columns) * thumbnails.cell;
  const top = Math.floor(cell / thumbnails.columns) * thumbnails.cell;
  context.drawImage(picture, left, top, thumbnails.sizes[2 * i], thumbnails.sizes[2 * i + 1], x, y, width, height);
  return true;
}
