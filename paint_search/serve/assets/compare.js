// Two works side by side: one zoom for both, the regions that match, and what the model says of them.

import * as api from "./api.js";
import { by, known } from "./cards.js";
import { $, attempt, make, sentence } from "./dom.js";
import { query } from "./state.js";
import { Viewer } from "./viewer.js";

const [one, other] = ["one", "other"].map((name) => query().get(name) ?? "");

function place(work, side) {
  $(`#${side} h2`).replaceChildren(make("a", { href: `/works/${work.id}`, text: work.name }));
  $(`#${side} p`).textContent = [by(work), work.year].filter(Boolean).join(", ");
  return new Viewer($(`#${side} .place`), work, known(work));
}

function link(first, second) {
  for (const [from, to] of [[first, second], [second, first]]) {
    from.addEventListener("view", () => { if ($("#linked").checked) to.view = from.view; });
  }
}

const sentences = (text) => [text].flat().filter((one) => typeof one === "string" && one);

async function answers(viewers) {
  const failed = (error) => ({ text: error.message });
  const [why, verdict] = await Promise.all(["explain", "verify"].map((kind) => api.pair(kind, one, other).catch(failed)));
  $("#verdict").replaceChildren(...sentences(verdict.text).map((text) => make("p", { text: sentence(text) })));
  const regions = why.regions ?? [];
  const heat = ["one", "other"].map((name) => why[name]?.heat ?? []), most = Math.max(...heat.flat(2), 1e-9);
  viewers.forEach((viewer, v) => viewer.heat(heat[v], why[["one", "other"][v]]?.seen, most));
  $("#heat").closest("label").hidden = !heat[0].length;
  $("#why").replaceChildren(...sentences(why.text).map((text) => make("p", { text: sentence(text) })),
    make("ol", {}, ...regions.map((region, r) => make("li", { "data-number": r + 1, text: `${region.score.toFixed(3)} of the score lies in this pair of regions` }))));
  viewers.forEach((viewer, v) => viewer.show(regions.map((region) => region[["one", "other"][v]])));
}

if (!one || !other) {
  await attempt(() => { throw new api.Problem("Two works are compared: open one, and choose ◫ at another that is like it.", 422); });
} else {
  const works = await attempt(() => Promise.all([api.work(one), api.work(other)]));
  if (works) {
    document.title = `${works[0].name} and ${works[1].name} · Paint search`;
    const viewers = [place(works[0], "one"), place(works[1], "other")];
    link(...viewers);
    $("#heat").addEventListener("change", (event) => $(".sides").classList.toggle("heated", event.target.checked));
    await answers(viewers);
  }
}
