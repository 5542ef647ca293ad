// What was collected, the selections that are saved in the index, and one of them.

import * as api from "./api.js";
import { card, known, moreLike } from "./cards.js";
import { collect, collected } from "./collected.js";
import { $, attempt, counted, make, say } from "./dom.js";
import { Wall } from "./wall.js";

const FORMATS = { csv: "CSV", json: "JSON", sheet: "Contact sheet", iiif: "IIIF collection" };
const name = location.pathname.startsWith("/selections/") ? decodeURIComponent(location.pathname.slice("/selections/".length)) : null;
const page = (selection) => `/selections/${encodeURIComponent(selection)}`;
const exports = (selection) => Object.entries(FORMATS).map(([format, text]) => make("a", { href: api.exported(selection, format), text, download: format !== "iiif" }));

async function showAll() {
  const answer = await attempt(api.selections);
  if (!answer) return;
  $("#saved").replaceChildren(...answer.selections.map((one) => make("li", {},
    make("a", { class: "name", href: page(one.name), text: one.name }),
    make("span", { class: "count", text: `${counted(one.count, "work")}${one.excluded ? ", left out of the index" : ""}` }),
    make("span", { class: "exports" }, ...exports(one.name)))));
  $("#none").hidden = answer.selections.length > 0;
}

async function showCollected(wall) {
  const ids = collected(), found = await Promise.all(ids.map((id) => api.work(id).catch((error) => (error.status === 404 ? null : Promise.reject(error)))));
  const works = found.filter(Boolean);
  if (works.length < found.length) collect(works.map(({ id }) => id)); // gone from the index meanwhile
  $("#save").hidden = !works.length;
  $("#nothing").hidden = works.length > 0;
  say(works.length ? `${counted(works.length, "work")} collected` : "Nothing is collected yet.");
  wall.showAll(works.map((work) => ({ work })));
}

async function collection() {
  const wall = new Wall($("#wall"), card((work) => [moreLike(work)]), { size: 170 });
  $("#save").addEventListener("submit", async (event) => {
    event.preventDefault();
    const called = $("#name").value.trim();
    const saved = await attempt(async () => { await api.keep(called, collected(), $("#excluded").checked); return true; });
    if (!saved) return;
    collect([]);
    location.assign(page(called));
  });
  $("#clear").addEventListener("click", () => { collect([]); showCollected(wall); });
  await Promise.all([showAll(), attempt(() => showCollected(wall))]);
}

async function one() {
  document.title = `${name} · Paint search`;
  $("h1").textContent = name;
  $("#exports").replaceChildren(...exports(name));
  let held = { works: [], excluded: false };
  const save = (ids, excluded) => attempt(async () => { await api.keep(name, ids, excluded); await load(); });
  const without = (work) => make("button", { type: "button", text: "×", title: "Take out", "aria-label": `Take out ${known(work)}`,
    on: { click: () => save(held.works.map(({ id }) => id).filter((id) => id !== work.id), held.excluded) } });
  const wall = new Wall($("#wall"), card((work) => [without(work)]));
  const load = async () => {
    held = await api.selection(name);
    $("#excluded").checked = Boolean(held.excluded);
    $("#add").hidden = !collected().length;
    $("#add").textContent = `Add ${counted(collected().length, "collected work")}`;
    $("#rest").hidden = false;
    say(held.works.length ? counted(held.works.length, "work") : "Nothing is in this selection: collect works with ♡, and add them here.");
    wall.showAll(held.works.map((work) => ({ work })));
  };
  $("#excluded").addEventListener("change", (event) => save(held.works.map(({ id }) => id), event.target.checked));
  $("#add").addEventListener("click", async () => {
    const added = collected();
    collect([]);
    await save([...new Set([...held.works.map(({ id }) => id), ...added])], held.excluded);
  });
  $("#delete").addEventListener("click", () => { $("#sure").hidden = false; $("#sure button").focus(); });
  $("#sure button").addEventListener("click", () => attempt(async () => { await api.drop(name); location.assign("/selections"); }));
  await attempt(load);
}

await (name === null ? collection() : one());
