// One picture large: zoom by wheel, pinch, keys and buttons, move by dragging; boxes over it, and a
// box drawn on it. All boxes are [x, y, width, height] in pixels of the picture at full size.

import { picture } from "./api.js";
import { make } from "./dom.js";

const SIZES = [1024, 2048, 4096];
const CLOSEST = 8; // pixels of the page to one of the picture, at most
const SVG = "http://www.w3.org/2000/svg";

export class Viewer extends EventTarget {
  // Sends "view" when the reader has moved it, and "box" with a box that was drawn.
  constructor(root, work, label) {
    super();
    Object.assign(this, { root, work, width: work.width || 1000, height: work.height || 1000, zoom: 1, x: 0.5, y: 0.5, drawing: false, size: 0 });
    this.image = make("img", { alt: label, draggable: "false", on: { error: () => root.classList.add("gone") } });
    this.layer = document.createElementNS(SVG, "svg");
    this.layer.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.layer.setAttribute("aria-hidden", "true");
    this.sheet = make("div", { class: "sheet" }, this.image, this.layer);
    this.stage = make("div", { class: "stage", tabindex: "0", role: "group",
      "aria-label": `${label}. Arrow keys move it, plus and minus zoom, 0 shows it whole.` }, this.sheet);
    const button = (text, name, act) => make("button", { type: "button", text, title: name, "aria-label": name, on: { click: act } });
    this.tools = make("div", { class: "tools" },
      button("+", "Closer", () => this.zoomBy(1.5)), button("−", "Farther", () => this.zoomBy(1 / 1.5)), button("⤢", "Whole", () => this.whole()));
    root.classList.add("viewer");
    root.replaceChildren(this.stage, this.tools);
    this.#listen();
    new ResizeObserver(() => this.#place()).observe(this.stage);
  }

  // Where one looks: the point of the picture in the middle (0 to 1), and how much closer than whole.
  get view() { return { x: this.x, y: this.y, zoom: this.zoom }; }
  set view({ x, y, zoom }) { Object.assign(this, { x, y, zoom }); this.#place(); }

  whole() { this.#go({ x: 0.5, y: 0.5, zoom: 1 }); }
  zoomBy(factor, at = [this.stage.clientWidth / 2, this.stage.clientHeight / 2]) {
    const zoom = Math.min(Math.max(1, CLOSEST / this.fit), Math.max(1, this.zoom * factor));
    const [x, y] = this.#point(at);
    const left = (at[0] - this.stage.clientWidth / 2) / (this.width * this.fit * zoom);
    const top = (at[1] - this.stage.clientHeight / 2) / (this.height * this.fit * zoom);
    this.#go({ x: x / this.width - left, y: y / this.height - top, zoom });
  }

  // Show boxes, numbered in this order.
  show(boxes, kind = "region") {
    this.layer.querySelectorAll(`.${kind}`).forEach((old) => old.remove());
    boxes.forEach(([x, y, width, height], b) => {
      const shape = document.createElementNS(SVG, "rect");
      for (const [name, value] of Object.entries({ x, y, width, height, class: kind, "data-number": b + 1 })) shape.setAttribute(name, value);
      this.layer.append(shape);
    });
  }

  // Lay the share of each place over the picture: rows of numbers over [left, top, width, height].
  heat(rows, seen, most) {
    if (!rows.length) return;
    const canvas = make("canvas", { width: rows[0].length, height: rows.length }), pen = canvas.getContext("2d");
    rows.forEach((row, y) => row.forEach((value, x) => {
      pen.fillStyle = `rgb(255 176 0 / ${0.75 * Math.min(1, Math.max(0, value / most))})`;
      pen.fillRect(x, y, 1, 1);
    }));
    const image = document.createElementNS(SVG, "image"), [x, y, width, height] = seen;
    for (const [name, value] of Object.entries({ x, y, width, height, preserveAspectRatio: "none", class: "heat", href: canvas.toDataURL() })) image.setAttribute(name, value);
    this.layer.prepend(image);
  }

  draw(on) {
    this.drawing = on;
    this.stage.classList.toggle("drawing", on);
  }

  get fit() { return Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height) || 1; }

  #go(view) {
    this.view = view;
    this.dispatchEvent(new Event("view"));
  }

  #place() {
    const { clientWidth: across, clientHeight: down } = this.stage;
    if (!across || !down) return;
    const width = this.width * this.fit * this.zoom, height = this.height * this.fit * this.zoom;
    // The picture fills the stage where it can, and stands in the middle where it cannot.
    const within = (middle, length, room) => (length <= room ? 0.5 : Math.min(1 - room / 2 / length, Math.max(room / 2 / length, middle)));
    this.x = within(this.x, width, across);
    this.y = within(this.y, height, down);
    const style = { width, height, left: across / 2 - this.x * width, top: down / 2 - this.y * height };
    for (const [name, value] of Object.entries(style)) this.sheet.style.setProperty(name, `${value}px`);
    this.#sharpen(Math.max(width, height) * (devicePixelRatio || 1));
  }

  // A larger image replaces a smaller one once it is there.
  #sharpen(wanted) {
    const size = SIZES.find((one) => one >= wanted) ?? SIZES.at(-1);
    if (size <= this.size) return;
    this.size = size;
    const source = picture(this.work.id, "image", size);
    if (!this.image.src) { this.image.src = source; return; }
    const larger = new Image();
    larger.src = source;
    larger.decode().then(() => { if (this.size === size) this.image.src = source; }, () => {});
  }

  #point([left, top]) {
    const scale = this.fit * this.zoom;
    return [(left - this.stage.clientWidth / 2) / scale + this.x * this.width, (top - this.stage.clientHeight / 2) / scale + this.y * this.height];
  }

  #move(dx, dy) {
    const scale = this.fit * this.zoom;
    this.#go({ x: this.x - dx / (this.width * scale), y: this.y - dy / (this.height * scale), zoom: this.zoom });
  }

  #listen() {
    const { stage } = this, fingers = new Map();
    let start = null;
    const at = (event) => {
      const box = stage.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const drawn = (end) => {
      const inside = ([x, y]) => [Math.min(this.width, Math.max(0, x)), Math.min(this.height, Math.max(0, y))];
      const [[x1, y1], [x2, y2]] = [inside(this.#point(start)), inside(this.#point(end))];
      return [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1)].map(Math.round);
    };
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stage.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, at(event));
      start = this.drawing && fingers.size === 1 ? at(event) : null;
    });
    stage.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId), here = at(event);
      if (!last) return;
      if (start) this.show([drawn(here)], "asked");
      else if (fingers.size === 2) {
        const [, other] = [...fingers].find(([id]) => id !== event.pointerId);
        const spread = Math.hypot(here[0] - other[0], here[1] - other[1]) / Math.hypot(last[0] - other[0], last[1] - other[1]);
        this.zoomBy(spread || 1, [(here[0] + other[0]) / 2, (here[1] + other[1]) / 2]);
        this.#move((here[0] - last[0]) / 2, (here[1] - last[1]) / 2);
      } else this.#move(here[0] - last[0], here[1] - last[1]);
      fingers.set(event.pointerId, here);
    });
    const end = (event) => {
      fingers.delete(event.pointerId);
      if (!start) return;
      const box = drawn(at(event));
      start = null;
      if (event.type === "pointerup" && box[2] > 3 && box[3] > 3) this.dispatchEvent(Object.assign(new Event("box"), { box }));
    };
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), at(event));
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => this.zoomBy(2, at(event)));
    stage.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (moves[event.key]) this.#move(...moves[event.key]);
      else if ("+=".includes(event.key)) this.zoomBy(1.25);
      else if (event.key === "-") this.zoomBy(0.8);
      else if (event.key === "0") this.whole();
      else return;
      event.preventDefault();
    });
  }
}
