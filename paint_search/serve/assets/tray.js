// What is looked for: examples and counter-examples, and whose works are left out.

import * as api from "./api.js";
import { by, frameOf, known, thumbnail } from "./cards.js";
import { make } from "./dom.js";
import { changed, go, query } from "./state.js";

const SIDE = 104;
const cache = new Map();
const workOf = (id) => {
  if (!cache.has(id)) cache.set(id, api.isUpload(id) ? Promise.resolve(null) : api.work(id).catch(() => null));
  return cache.get(id);
};

function example(id, kind, work, box) {
  const name = work ? known(work) : api.isUpload(id) ? "your picture" : "a work that is no longer here";
  const image = make("img", { src: thumbnail(id, 2 * SIDE), alt: name, title: name, on: { error: () => image.classList.add("gone") } });
  const frame = make("span", { class: "frame" }, image, box && work ? frameOf(box, work) : null);
  const button = (text, label, next) => make("button", { type: "button", text, title: label, "aria-label": `${label}: ${name}`, on: { click: () => go(next()) } });
  const other = kind === "like" ? "unlike" : "like";
  const without = () => {
    const next = changed(query(), kind, (one) => one === id);
    next.delete("box");
    return next.getAll("like").length ? next : changed(next, "unlike", () => true);
  };
  return make("li", { class: kind }, work ? make("a", { href: `/works/${id}` }, frame) : frame,
    make("span", { class: "buttons" },
      // The last example cannot become a counter-example: nothing would be looked for.
      kind === "unlike" || query().getAll("like").length > 1
        ? button(kind === "like" ? "−" : "+", kind === "like" ? "Not like this" : "Like this", () => changed(changed(query(), kind, (one) => one === id), other, () => false, [id])) : null,
      button("×", "Take away", without)));
}

export async function showTray(root, params) {
  const like = params.getAll("like"), unlike = params.getAll("unlike");
  root.hidden = !like.length;
  if (root.hidden) return;
  const state = String(params);
  const works = new Map(await Promise.all([...like, ...unlike].map(async (id) => [id, await workOf(id)])));
  if (state !== String(query())) return;
  const box = params.get("box")?.split(",").map(Number);
  const held = root.contains(document.activeElement);
  const list = (ids, kind, title) => (ids.length ? [make("div", {}, make("h2", { text: title }),
    make("ul", {}, ...ids.map((id) => example(id, kind, works.get(id), kind === "like" ? box : null))))] : []);
  const artists = [...new Set(like.map((id) => works.get(id)?.artist).filter(Boolean))];
  const others = artists.map((artist) => {
    const text = `artist=${artist}`;
    const check = make("input", { type: "checkbox", checked: params.getAll("not").includes(text),
      on: { change: () => go(changed(query(), "not", (one) => one === text, check.checked ? [text] : [])) } });
    return make("label", {}, check, `Not by ${by({ artist })}`);
  });
  root.replaceChildren(...list(like, "like", box ? "Like this detail" : like.length > 1 ? "Like these" : "Like this"), ...list(unlike, "unlike", "Not like"),
    make("div", { class: "choices" }, ...others, make("a", { href: "/", text: "Look at all works again" })));
  if (held) root.querySelector("button, input, a")?.focus();
}
