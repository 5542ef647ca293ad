// What narrows the wall: values of fields with their counts, a span of years, and what is taken out.

import * as api from "./api.js";
import { $, complain, make, number } from "./dom.js";
import { changed, condition, conditions, go, query } from "./state.js";

const FEW = 8; // values shown of a field before it is unfolded
const unfolded = new Set(), sought = new Map();

const filters = (params, without) => {
  const made = new URLSearchParams();
  for (const { field, text, operator } of conditions(params)) if (field !== without || operator !== "=") made.append("where", text);
  for (const text of params.getAll("not")) made.append("not", text);
  return made;
};

// The counts of a field are of the works that all other fields leave: its values are alternatives.
async function ask(params, signal) {
  const narrowed = conditions(params).filter(({ operator }) => operator === "=").map(({ field }) => field);
  const own = async (field) => {
    const chosen = filters(params, field);
    if (field !== "year") chosen.append("field", field);
    if (unfolded.has(field)) chosen.set("limit", 1000);
    return { field, answer: await api.facets(chosen, signal) };
  };
  const apart = new Set([...narrowed, ...unfolded]);
  const [all, ...others] = await Promise.all([api.facets(filters(params), signal), ...[...apart].map(own)]);
  for (const { field, answer } of others) {
    const place = all.facets.findIndex((facet) => facet.field === field);
    if (field === "year") all.years = answer.years;
    else if (place >= 0) all.facets[place] = answer.facets[0];
    else all.facets.push(...answer.facets);
  }
  return all;
}

export async function showFacets(root, params, signal) {
  try {
    const { facets, years } = await ask(params, signal);
    const held = root.contains(document.activeElement) ? document.activeElement.id : "";
    root.replaceChildren(...(years && years.high > years.low ? [span(years, params)] : []),
      ...facets.filter(({ values }) => values.length).map((facet) => group(facet, params)));
    if (held) document.getElementById(held)?.focus();
  } catch (error) {
    if (error.status !== 404) complain(error); // of what is not there the wall says enough
  }
}

const dropped = (name, text) => () => go(changed(query(), name, (value) => value === text));

export function showConditions(root, params) {
  const words = { "=": "", "~=": "has " };
  const entry = (name, text) => {
    const { field, operator, value } = condition(text);
    const shown = `${name === "not" ? "not " : ""}${field === "title" ? "title " : ""}${words[operator]}${value.replace("..", " to ")}`;
    return make("li", {}, make("button", { type: "button", title: "Take this away", "aria-label": `Take away: ${field} ${shown}`,
      text: `${shown} ×`, on: { click: dropped(name, text) } }));
  };
  root.replaceChildren(...["where", "not"].flatMap((name) => params.getAll(name).filter((text) => text.includes("=")).map((text) => entry(name, text))));
}

function group({ field, values, distinct }, params) {
  const chosen = new Set(conditions(params).filter((one) => one.field === field && one.operator === "=").map(({ value }) => value));
  const list = make("ul"), more = make("button", { type: "button", class: "quiet", id: `more-${field}` });
  const seek = make("input", { type: "search", id: `seek-${field}`, placeholder: `Find among ${number(distinct)}`, "aria-label": `Find a value of ${field}` });
  seek.value = sought.get(field) ?? "";
  const ordered = [...values].sort((a, b) => chosen.has(String(b.value)) - chosen.has(String(a.value)));
  const entry = ({ value, count }) => {
    const text = `${field}=${value}`;
    const box = make("input", { type: "checkbox", checked: chosen.has(String(value)), id: `is-${text}`,
      on: { change: () => go(changed(query(), "where", (one) => one === text, box.checked ? [text] : [])) } });
    return make("li", {}, make("label", { title: value }, box, make("span", { class: "value", text: value }), make("span", { class: "count", text: number(count) })));
  };
  const fill = () => {
    const open = unfolded.has(field), words = seek.value.trim().toLowerCase();
    const found = words && open ? ordered.filter(({ value }) => String(value).toLowerCase().includes(words)) : ordered;
    list.replaceChildren(...found.slice(0, open ? undefined : FEW).map(entry));
    list.classList.toggle("long", open);
    seek.hidden = !open;
    more.textContent = open ? "Fewer" : `All ${number(distinct)}`;
    more.setAttribute("aria-expanded", open);
  };
  more.hidden = values.length <= FEW;
  more.addEventListener("click", () => {
    unfolded[unfolded.has(field) ? "delete" : "add"](field);
    if (unfolded.has(field) && values.length < distinct) showFacets(more.closest("fieldset").parentElement, query());
    else fill();
  });
  seek.addEventListener("input", () => { sought.set(field, seek.value); fill(); });
  fill();
  return make("fieldset", {}, make("legend", { text: field.replaceAll("_", " ") }), seek, list, more);
}

// Two handles over a row of bars; what they leave is asked for when they are let go.
function span({ low, high, counts }, params) {
  const asked = conditions(params).find(({ field, value }) => field === "year" && value.includes(".."));
  const [from, to] = (asked?.value.split("..") ?? ["", ""]).map((text, end) => (text === "" ? [low, high][end] : Number(text)));
  const most = Math.max(...counts), words = make("output", { class: "count" });
  const handle = (id, label, value) => make("input", { type: "range", id, min: low, max: high, value: Math.min(high, Math.max(low, value)), "aria-label": label });
  const first = handle("year-from", "From year", from), last = handle("year-to", "To year", to);
  const bars = counts.map((count) => make("i", { style: { height: `${count ? Math.max(6, (100 * count) / most) : 0}%` } }));
  const show = () => {
    words.textContent = first.value === last.value ? first.value : `${first.value} to ${last.value}`;
    bars.forEach((bar, b) => {
      const start = low + (b * (high - low)) / counts.length, end = low + ((b + 1) * (high - low)) / counts.length;
      bar.classList.toggle("out", end < Number(first.value) || start > Number(last.value));
    });
  };
  const choose = () => {
    const whole = Number(first.value) <= low && Number(last.value) >= high;
    go(changed(query(), "where", (text) => text.startsWith("year="), whole ? [] : [`year=${first.value}..${last.value}`]));
  };
  first.addEventListener("input", () => { if (Number(first.value) > Number(last.value)) first.value = last.value; show(); });
  last.addEventListener("input", () => { if (Number(last.value) < Number(first.value)) last.value = first.value; show(); });
  for (const one of [first, last]) one.addEventListener("change", choose);
  show();
  return make("fieldset", { class: "years" }, make("legend", { text: "year" }), words,
    make("div", { class: "bars", "aria-hidden": "true" }, ...bars), make("div", { class: "handles" }, first, last));
}
