// Elements from data. All text goes in as text, whatever it looks like.

export const $ = (selector, root = document) => root.querySelector(selector);

// An element: `text`, `on` (its listeners) and `style` have their meaning; all else are attributes.
export function make(tag, { text, on = {}, style = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const number = (value) => value.toLocaleString("en");
export const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
export const percent = (share) => {
  const value = 100 * share;
  return `${value > 99 && value < 100 ? Math.floor(value * 10) / 10 : Math.round(value)} %`;
};

// The server's sentences as they stand on a page.
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

// Say a thing where it is seen, and read out.
export function say(text) {
  $("#status").textContent = text;
}

// How far an answer is that takes long.
export function progress({ words, done, total }) {
  $("#progress").hidden = false;
  if (total) Object.assign($("#progress"), { value: done, max: total });
  say(total ? `Working: ${words}, ${number(done)} of ${number(total)}` : "Working on it …");
}

// What went wrong, in the words of the server, with a way to go on; nothing takes it away.
export function complain(error, again = () => location.reload()) {
  if (error.name === "AbortError") return;
  const way = error.status === 401 ? make("a", { href: "/login", text: "Give the token" })
    : error.status > 0 && error.status < 500 ? "" // the same would be answered again
    : make("button", { type: "button", text: "Try again", on: { click: () => { settle(); again(); } } });
  $("#problem").replaceChildren(make("p", { text: sentence(error.message) }), way);
  $("#problem").hidden = false;
}

export function settle() {
  $("#problem").replaceChildren();
  $("#problem").hidden = true;
}

// Run what may fail; the page says what happened. The answer is undefined then.
export async function attempt(work) {
  try {
    settle();
    return await work();
  } catch (error) {
    complain(error, () => attempt(work));
    if (!("status" in error) && error.name !== "AbortError") throw error;
  }
}
