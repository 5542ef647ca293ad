// One work among others: its picture, who, what and when, how alike, and what can be done with it.

import { picture } from "./api.js";
import { isCollected, toggleCollected } from "./collected.js";
import { make, percent } from "./dom.js";

export const by = (work) => work.artist || "Unknown artist";
export const what = (work) => [work.name, work.year].filter(Boolean).join(", ");
export const known = (work) => `${what(work)}, by ${by(work)}`;

const SIZES = [128, 256, 512];

// The smallest thumbnail that fills so many pixels of the page.
export function thumbnail(id, longest) {
  const wanted = longest * Math.min(2, devicePixelRatio || 1);
  return picture(id, "thumbnail", SIZES.find((size) => size >= 0.9 * wanted) ?? SIZES.at(-1));
}

// A box in pixels of a picture, laid over its frame.
export function frameOf([x, y, width, height], work) {
  const part = (value, whole) => `${(100 * value) / whole}%`;
  return make("span", { class: "box", style: {
    left: part(x, work.width), top: part(y, work.height), width: part(width, work.width), height: part(height, work.height),
  } });
}

// How alike, beside what is usual here: a score says little by itself.
function scored({ score, above_other_artists: other, above_same_artist: same }, width) {
  if ((other ?? null) === null) return make("span", { class: "score", text: `score ${score.toFixed(2)}` });
  const words = `closer than ${percent(other)} of pairs by two artists`;
  const more = (same ?? null) === null ? "" : `, and than ${percent(same)} of pairs by one`;
  return make("span", { class: "score", title: `Score ${score.toFixed(3)}: ${words}${more}` },
    make("span", { "aria-hidden": "true", text: width < 240 ? `closer than ${percent(other)}` : words }), make("span", { class: "unseen", text: words }));
}

export const heart = (work) => {
  const button = make("button", { type: "button", class: "heart" });
  const show = () => {
    button.textContent = isCollected(work.id) ? "♥\ufe0e" : "♡\ufe0e";
    button.setAttribute("aria-pressed", isCollected(work.id));
    button.setAttribute("aria-label", `Collect ${known(work)}`);
    button.title = isCollected(work.id) ? "Collected" : "Collect";
  };
  button.addEventListener("click", () => { toggleCollected(work.id); show(); });
  show();
  return button;
};

// `actions(work)` are further elements beside the heart.
export const card = (actions = () => []) => ({ work, ...hit }, { width, height }) => {
  const image = make("img", { src: thumbnail(work.id, Math.max(width, height)), alt: "", loading: "lazy", decoding: "async",
    width: Math.round(width), height: Math.round(height), on: { error: () => image.classList.add("gone") } });
  const link = make("a", { href: `/works/${work.id}`, title: known(work) },
    make("span", { class: "frame", style: { height: `${height}px` } }, image, hit.box ? frameOf(hit.box, work) : null),
    make("span", { class: "who", text: by(work) }),
    make("span", { class: "what", text: what(work) }),
    hit.score === undefined ? null : scored(hit, width));
  const copies = hit.copies?.length ? make("details", { class: "copies" },
    make("summary", { text: hit.copies.length === 1 ? "+ a copy" : `+ ${hit.copies.length} copies` }),
    make("ul", {}, ...hit.copies.map((copy) => make("li", {}, make("a", { href: `/works/${copy.id}`, text: known(copy) }))))) : null;
  return make("li", { class: "card" }, link, make("div", { class: "actions" }, ...actions(work), heart(work)), copies);
};

export const moreLike = (work) => make("a", { href: `/?like=${encodeURIComponent(work.id)}`, title: "More like this",
  "aria-label": `More like ${known(work)}`, text: "≈" });
