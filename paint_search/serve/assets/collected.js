// The works collected and not yet saved: kept in this browser, shared by its windows.

import { $ } from "./dom.js";

const KEY = "paint-search.collected";

export function collected() {
  try {
    const ids = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
  } catch {
    return []; // storage is forbidden, or holds another's words
  }
}

export const isCollected = (id) => collected().includes(id);

export function collect(ids) {
  try {
    localStorage.setItem(KEY, JSON.stringify(ids));
  } catch { /* forbidden: nothing is collected, and the number says so */ }
  showCount();
}

export function toggleCollected(id) {
  const ids = collected();
  collect(ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id]);
}

export function showCount() {
  const count = collected().length, place = $("#collected");
  place.textContent = count ? ` ${count}` : "";
  place.setAttribute("aria-label", count ? `, ${count} collected` : "");
}

addEventListener("storage", (event) => { if (event.key === KEY) showCount(); });
