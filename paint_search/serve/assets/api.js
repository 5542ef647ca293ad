// The HTTP API /v1: every answer is JSON, every refusal a problem whose detail is fit to be read.

export class Problem extends Error {
  constructor(detail, status) {
    super(detail);
    this.status = status;
  }
}

export async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer: see that paint-search serve is running and that you are connected.", 0);
  }
  const isJson = /[/+]json\b/.test(answer.headers.get("content-type") ?? "");
  const body = isJson ? await answer.json() : null;
  if (!answer.ok) throw new Problem(body?.detail ?? `The server answered ${answer.status} ${answer.statusText}.`, answer.status);
  return body;
}

// Ask until the answer is there; what takes long is told on the way: {words, done, total}.
async function askPatiently(address, progress = () => {}) {
  for (;;) {
    const answer = await ask(address, { headers: { accept: "application/json" } });
    if (answer?.state !== "working") return answer;
    progress(answer);
    await new Promise((go) => { setTimeout(go, 1000); });
  }
}

const path = (...parts) => `/v1/${parts.map(encodeURIComponent).join("/")}`;

export const work = (id) => ask(path("works", id));
export const works = (query, signal) => ask(`/v1/works?${query}`, { signal });
export const similar = (query, signal) => ask(`/v1/similar?${query}`, { signal });
export const facets = (query, signal) => ask(`/v1/facets?${query}`, { signal });
export const artists = () => ask(path("artists"));
export const artist = (name, progress) => askPatiently(path("artists", name), progress);
export const drawn = (address, progress) => askPatiently(address, progress);
export const studies = () => ask(path("studies"));
export const study = (name, progress) => askPatiently(path("studies", name), progress);
export const pair = (kind, one, other) => ask(`${path(kind)}?${new URLSearchParams({ one, other })}`);
export const upload = (picture) => ask(path("pictures"), { method: "POST", body: picture });
export const selections = () => ask(path("selections"));
export const selection = (name) => ask(path("selections", name));
export const keep = (name, ids, excluded) => ask(path("selections", name), {
  method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ ids, excluded }),
});
export const drop = (name) => ask(path("selections", name), { method: "DELETE" });
export const exported = (name, format) => path("selections", name, format);

// Pictures asked with have ids of their own kind, and no fields.
export const isUpload = (id) => id.startsWith("picture-");
export const picture = (id, kind, size) => `${path(isUpload(id) ? "pictures" : "works", id, kind)}?size=${size}`;
