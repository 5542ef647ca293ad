// One work: large, what is known of it, what is most like it, and a part of it to search by.

import * as api from "./api.js";
import { by, card, heart, known, moreLike, what } from "./cards.js";
import { $, attempt, make, say } from "./dom.js";
import { changed, query } from "./state.js";
import { Viewer } from "./viewer.js";
import { Wall } from "./wall.js";

const id = decodeURIComponent(location.pathname.split("/").at(-1));
const NEAR = 18;
const EDGES = ["x", "y", "width", "height"];

function facts(work) {
  const { year_from: _, year_to: __, ...fields } = work.fields; // which the year says
  const rows = { year: work.year, movement: work.movement, ...fields, size: work.width ? `${work.width} × ${work.height} pixels` : null, file: work.path };
  return Object.entries(rows).filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => make("div", {}, make("dt", { text: name.replaceAll("_", " ") }), make("dd", { text: value })));
}

const like = (changes = new URLSearchParams()) => `/?${new URLSearchParams([["like", id], ...changes])}`;

function show(work) {
  document.title = `${known(work)} · Paint search`;
  $("h1").textContent = work.name;
  $("#artist").replaceChildren(work.artist ? make("a", { href: `/artists/${encodeURIComponent(work.artist)}`, text: work.artist }) : by(work));
  $("#facts").replaceChildren(...facts(work));
  $("#ways").replaceChildren(make("a", { class: "button", href: like(), text: "More like this" }),
    work.artist ? make("a", { class: "button", href: like(new URLSearchParams({ not: `artist=${work.artist}` })), text: "By other artists" }) : "",
    heart(work));
  const viewer = new Viewer($("#viewer"), work, known(work));
  detail(viewer, work);
}

// A box is drawn, or typed; both are the same four numbers.
function detail(viewer, work) {
  const fields = EDGES.map((edge) => $(`#box-${edge}`)), toggle = $("#draw");
  const limits = [work.width, work.height, work.width, work.height];
  fields.forEach((field, f) => { field.max = limits[f] ?? ""; });
  const set = (box) => {
    box.forEach((value, f) => { fields[f].value = value; });
    viewer.show([box], "asked");
  };
  const draw = (on) => {
    viewer.draw(on);
    toggle.setAttribute("aria-pressed", on);
    toggle.textContent = on ? "Draw on the picture …" : "Draw a box";
  };
  toggle.addEventListener("click", () => draw(toggle.getAttribute("aria-pressed") !== "true"));
  viewer.addEventListener("box", ({ box }) => {
    set(box);
    draw(false);
    $("#find").focus();
    say(`A part of ${box[2]} by ${box[3]} pixels is chosen.`);
  });
  const typed = () => fields.map((field) => Number(field.value));
  for (const field of fields) field.addEventListener("input", () => { if (fields.every((one) => one.value !== "")) viewer.show([typed()], "asked"); });
  const asked = query().get("box")?.split(",").map(Number);
  if (asked?.length === 4 && asked.every(Number.isFinite)) set(asked);
  $("#detail").addEventListener("submit", (event) => {
    event.preventDefault();
    const box = typed().join(",");
    history.replaceState(history.state, "", `?${changed(query(), "box", () => true, [box])}`); // Back finds it again
    location.assign(like(new URLSearchParams({ box })));
  });
}

const compare = (work) => make("a", { href: `/compare?${new URLSearchParams({ one: id, other: work.id })}`, title: "Compare with this", "aria-label": `Compare with ${known(work)}`, text: "◫" });

async function neighbours() {
  const answer = await attempt(() => api.similar(new URLSearchParams({ like: id, k: NEAR })));
  if (!answer) return;
  $("#background").textContent = answer.background?.text ?? "";
  new Wall($("#near"), card((work) => [moreLike(work), compare(work)]), { lines: 1, size: 180 }).showAll(answer.hits);
}

const work = await attempt(() => api.work(id));
if (work) {
  show(work);
  say(`${what(work)}, by ${by(work)}`);
  await neighbours();
} else $("h1").textContent = "Not to be had";
