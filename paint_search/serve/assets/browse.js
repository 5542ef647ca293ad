// Browse and ask: the wall, what narrows it, and what is looked for.

import * as api from "./api.js";
import { card, moreLike } from "./cards.js";
import { $, attempt, complain, counted, make, say, sentence, settle } from "./dom.js";
import { showConditions, showFacets } from "./facets.js";
import { changed, conditions, go, keepPlaces, keptPlace, query } from "./state.js";
import { showTray } from "./tray.js";
import { Wall } from "./wall.js";

const ORDERS = { random: "Mixed", name: "Artist and title", year: "Oldest first", "-year": "Newest first" };
const FIRST = 60; // hits; a thousand at most
const params = () => query();
const isAsking = () => params().getAll("like").length > 0;

const example = (work, kind, sign, words) => make("button", { type: "button", text: sign, title: words, "aria-label": `${words}: ${work.name}`,
  on: { click: () => go(changed(changed(params(), kind === "like" ? "unlike" : "like", (id) => id === work.id), kind, () => false, [work.id])) } });
const actions = (work) => (isAsking()
  ? [moreLike(work), example(work, "like", "+", "Also like this"), example(work, "unlike", "−", "Not like this")] : [moreLike(work)]);

const wall = new Wall($("#wall"), card(actions));
const hits = new Wall($("#hits"), card(actions), { lines: 1 });
let running = new AbortController();

// What of the address concerns the choice of works, in the words of the API.
function choice(names) {
  const chosen = new URLSearchParams();
  for (const [name, value] of params()) if (names.includes(name)) chosen.append(name, value);
  return chosen;
}

async function show(place = null) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  settle();
  const asking = isAsking();
  showTray($("#tray"), params());
  showOrders(asking);
  const words = conditions(params()).find(({ operator }) => operator === "~=");
  if (document.activeElement !== $("#words")) $("#words").value = words?.value ?? "";
  showConditions($("#chips"), params());
  showFacets($("#facets"), params(), signal);
  document.title = asking ? "What is like this · Paint search" : "Works · Paint search";
  try {
    await (asking ? ask(signal, place) : browse(signal, place));
    if (!place) scrollTo(0, 0);
  } catch (error) {
    if (error.name === "AbortError") return;
    $("#wall").hidden = $("#hits").hidden = $("#more").hidden = true;
    $("#background").textContent = "";
    say("");
    if (error.status === 404 && isNarrowed()) empty(0, error.message); // no work has this value
    else complain(error, show);
  }
}

const isNarrowed = () => params().has("where") || params().has("not");

function empty(total, why = "") {
  $("#empty").hidden = total > 0;
  $("#empty p").textContent = !isNarrowed() ? "No work is here yet: add some with paint-search index FOLDER."
    : `${why ? sentence(why) : "No work is all of this."} Take away one of the conditions, or use fewer words.`;
  $("#empty button").hidden = !isNarrowed();
}

async function browse(signal, place) {
  const chosen = choice(["where", "not", "sort", "seed"]);
  if (!chosen.has("sort")) chosen.set("sort", "random");
  const load = async (offset, limit) => {
    const part = new URLSearchParams(chosen);
    part.set("offset", offset);
    part.set("limit", limit);
    return api.works(part, signal);
  };
  const first = await load(0, 60);
  empty(first.total);
  say(counted(first.total, "work"));
  $("#background").textContent = "";
  $("#more").hidden = true;
  $("#hits").hidden = true;
  $("#wall").hidden = false;
  wall.show(first.total, async (offset, limit) => (offset ? (await attempt(() => load(offset, limit)))?.works : first.works)
    ?.map((work) => ({ work })), place);
}

async function ask(signal, place) {
  const chosen = choice(["like", "unlike", "where", "not", "box", "k", "min_score", "spread", "exact"]);
  if (!chosen.has("k")) chosen.set("k", FIRST);
  const { hits: found, background } = await api.similar(chosen, signal);
  const order = params().get("sort"), year = ({ work }) => work.year ?? Infinity;
  if (order === "name") found.sort((a, b) => `${a.work.artist} ${a.work.name}`.localeCompare(`${b.work.artist} ${b.work.name}`));
  if (order === "year") found.sort((a, b) => year(a) - year(b));
  if (order === "-year") found.sort((a, b) => (b.work.year ?? -Infinity) - (a.work.year ?? -Infinity));
  empty(found.length);
  say(order ? counted(found.length, "work") : `${counted(found.length, "work")}, the most alike first`);
  $("#background").textContent = background?.text ?? "";
  $("#more").hidden = found.length < Number(chosen.get("k")) || found.length >= 1000;
  $("#wall").hidden = true;
  $("#hits").hidden = false;
  hits.showAll(found, place);
}

function showOrders(asking) {
  const orders = asking ? { "": "Most alike first", ...ORDERS } : ORDERS;
  if (asking) delete orders.random;
  $("#order").replaceChildren(...Object.entries(orders).map(([value, text]) => make("option", { value, text })));
  $("#order").value = params().get("sort") ?? (asking ? "" : "random");
}

const set = (name, value, options) => {
  const next = params();
  if (value) next.set(name, value); else next.delete(name);
  go(next, options);
};

$("#order").addEventListener("change", (event) => set("sort", event.target.value));
$("#more").addEventListener("click", () => {
  set("k", Math.min(1000, 3 * Number(params().get("k") ?? FIRST)), { place: hits.shown });
});
$("#empty button").addEventListener("click", () => {
  const next = params();
  next.delete("where");
  next.delete("not");
  go(next);
});
let pause = 0;
$("#words").addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => {
    const words = $("#words").value.trim();
    go(changed(params(), "where", (text) => text.startsWith("title~="), words ? [`title~=${words}`] : []), { replace: true });
  }, 250);
});
$("#search").addEventListener("submit", (event) => event.preventDefault());
$("#chance").addEventListener("click", async () => {
  const chosen = choice(["where", "not"]);
  for (const [name, value] of [["sort", "random"], ["seed", Math.floor(Math.random() * 1e9)], ["limit", 1]]) chosen.set(name, value);
  const answer = await attempt(() => api.works(chosen));
  if (answer?.works.length) go(new URLSearchParams({ like: answer.works[0].id }));
});
const wide = matchMedia("(min-width: 56rem)");
const unfold = () => { $("#narrow").open = wide.matches; };
wide.addEventListener("change", unfold);
unfold();
addEventListener("state", () => show(keptPlace()));
keepPlaces(() => (isAsking() ? hits : wall).shown);
show(keptPlace());
