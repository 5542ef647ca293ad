// All artists; one artist with those whose works are nearest; two artists side by side.

import * as api from "./api.js";
import { card, moreLike } from "./cards.js";
import { $, attempt, counted, make, number, say } from "./dom.js";
import { changed, address, query } from "./state.js";
import { Wall } from "./wall.js";

const name = location.pathname.startsWith("/artists/") ? decodeURIComponent(location.pathname.slice("/artists/".length)) : null;
const page = (artist) => `/artists/${encodeURIComponent(artist)}`;
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

async function showAll() {
  const answer = await attempt(api.artists);
  if (!answer) return;
  const fill = () => {
    const words = plain($("#seek").value.trim());
    const found = answer.artists.filter(({ value }) => plain(value).includes(words));
    if ($("#order").value === "works") found.sort((a, b) => b.count - a.count);
    $("#artists").replaceChildren(...found.map(({ value, count }) => make("li", {}, make("a", { href: page(value), text: value }), make("span", { class: "count", text: number(count) }))));
    say(found.length ? counted(found.length, "artist") : words ? "No artist has that in the name. Use fewer letters."
      : "No work here has an artist: index with a table of labels.");
  };
  $("#seek").addEventListener("input", fill);
  $("#order").addEventListener("change", fill);
  fill();
}

async function showWorks(artist, root, size) {
  const chosen = new URLSearchParams({ where: `artist=${artist}`, sort: "year" });
  const load = (offset, limit) => attempt(() => api.works(`${chosen}&${new URLSearchParams({ offset, limit })}`));
  const first = await load(0, 60);
  if (!first) return;
  const wall = new Wall(root, card((work) => [moreLike(work)]), { size });
  wall.show(first.total, async (offset, limit) => (offset ? (await load(offset, limit))?.works : first.works)?.map((work) => ({ work })));
  return first.total;
}

async function showOne() {
  const beside = query().get("beside");
  document.title = `${beside ? `${name} and ${beside}` : name} · Paint search`;
  $("h1").textContent = name;
  $("#pair").classList.toggle("two", Boolean(beside));
  const size = beside ? 150 : 210;
  const [total] = await Promise.all([showWorks(name, $("#first .works"), size), beside ? showWorks(beside, $("#second .works"), size) : null]);
  if (beside) {
    $("#first h2").textContent = name;
    $("#second h2").replaceChildren(make("a", { href: page(beside), text: beside }));
    $("#second").hidden = false;
  }
  if (total !== undefined) say(total ? counted(total, "work") : `No work here is by ${name}.`);
  $("#all").href = `/?${new URLSearchParams({ where: `artist=${name}` })}`;
  const answer = await attempt(() => api.artist(name));
  $("#nearest").replaceChildren(...(answer?.nearest ?? []).map((near) => make("li", {},
    make("a", { href: page(near.artist), text: near.artist }), make("span", { class: "count", title: "cosine of their mean vectors", text: near.cosine.toFixed(2) }),
    make("a", { class: "quiet", href: address(changed(new URLSearchParams(), "beside", () => true, [near.artist]), page(name)),
      "aria-label": `${name} and ${near.artist} side by side`, title: "Side by side", text: "◫" }))));
  $("#near").hidden = !answer?.nearest?.length;
}

await (name === null ? showAll() : showOne());
