// The questions about the whole collection, and the answer to one as tables, words and a figure.

import * as api from "./api.js";
import { $, attempt, make, progress, say } from "./dom.js";

const name = location.pathname.startsWith("/studies/") ? decodeURIComponent(location.pathname.slice("/studies/".length)) : null;

function part({ columns, rows, text }) {
  if (text !== undefined) return make("p", { text });
  const sort = (column) => (column.startsWith(">") ? "number" : null);
  return make("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" }, make("table", {},
    make("thead", {}, make("tr", {}, ...columns.map((column) => make(column.replace(">", "") ? "th" : "td", { class: sort(column), text: column.replace(/^>/, "") })))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((value, c) => make("td", { class: sort(columns[c]), text: value })))))));
}

async function showOne() {
  const answer = await attempt(() => api.study(name, progress));
  $("#progress").hidden = true;
  say("");
  if (!answer) return;
  document.title = `${answer.title} · Paint search`;
  $("h1").textContent = answer.title;
  const figure = answer.figure ? make("figure", {}, make("img", { src: answer.figure, alt: `Figure: ${answer.title}` })) : null;
  $("#parts").replaceChildren(...[figure, ...answer.parts.map(part)].filter(Boolean));
}

async function showAll() {
  const answer = await attempt(api.studies);
  $("#studies").replaceChildren(...(answer?.studies ?? []).map(({ title, page }) => make("li", {}, make("a", { href: page, text: title }))));
}

await (name === null ? showAll() : showOne());
