// What the page shows is written in its address, in the words of the API, so that Back works and a
// link brings a result back: like, unlike, box, where, not, sort, seed, k.

const OPERATORS = ["~=", "="];

export const query = () => new URLSearchParams(location.search);

// "year=1870..1880" -> its field, what is asked of it, and the whole.
export function condition(text) {
  const at = Math.min(...OPERATORS.map((sign) => text.indexOf(sign)).filter((place) => place >= 0));
  const operator = text.startsWith("~=", at) ? "~=" : "=";
  return { field: text.slice(0, at), operator, value: text.slice(at + operator.length), text };
}

export const conditions = (params, name = "where") => params.getAll(name).filter((text) => text.includes("=")).map(condition);

// A copy without those values of a name that `drop` picks, and with those added.
export function changed(params, name, drop, added = []) {
  const made = new URLSearchParams(params);
  const kept = params.getAll(name).filter((value) => !drop(value));
  made.delete(name);
  for (const value of [...kept, ...added]) if (!made.getAll(name).includes(value)) made.append(name, value);
  return made;
}

export const address = (params, path = "/") => {
  const text = String(params);
  return text ? `${path}?${text}` : path;
};

// Go to another state of the same page.
export function go(params, { replace = false, place = null } = {}) {
  if (address(params, location.pathname) === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"]({ place }, "", address(params, location.pathname));
  dispatchEvent(new Event("state"));
}

addEventListener("popstate", () => dispatchEvent(new Event("state")));

// What is looked at is kept with the address, as `placeOf` tells it: a wall has its true height only
// where it has been, so that a number of pixels would lead elsewhere.
export const keptPlace = () => history.state?.place ?? null;
export function keepPlaces(placeOf) {
  history.scrollRestoration = "manual";
  let waiting = 0;
  addEventListener("scroll", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => history.replaceState({ ...history.state, place: placeOf() }, ""), 150);
  }, { passive: true });
}
