// A wall of pictures in their true proportions, in rows of one width. Only what is near the window is
// in the page, and only that is asked for; what is not known yet has the height that it will about have.

import { make } from "./dom.js";

const BLOCK = 60; // works asked for and laid out at a time
const CAPTION = 2.9; // rem below each picture, and for each further line
const FURTHER = 1.25;
const MARGIN = 1.2; // windows above and below that are kept ready

export const shape = ({ width, height }) => (width && height ? Math.min(4, Math.max(0.3, width / height)) : 1);

// Break shapes into rows as high as `target` as can be, all rows full but the last of a wall.
export function rows(shapes, width, gap, target, isLast) {
  const height = (from, to) => {
    let sum = 0;
    for (let i = from; i < to; i++) sum += shapes[i];
    return (width - gap * (to - from - 1)) / sum;
  };
  const best = [{ cost: 0, from: 0 }];
  for (let to = 1; to <= shapes.length; to++) {
    best[to] = { cost: Infinity, from: to - 1 };
    for (let from = to - 1; from >= 0; from--) {
      const high = height(from, to);
      const short = isLast && to === shapes.length && high > target;
      const cost = best[from].cost + (short ? 0 : Math.log(high / target) ** 2);
      if (cost < best[to].cost) best[to] = { cost, from, height: short ? target : high };
      if (high < target / 2.5) break;
    }
  }
  const made = [];
  for (let to = shapes.length; to > 0; to = best[to].from) made.unshift({ from: best[to].from, to, height: best[to].height });
  return made;
}

export class Wall {
  // `card` makes the element of an item, a work or a hit; `lines` are those below its caption.
  constructor(root, card, { lines = 0, size = 210 } = {}) {
    Object.assign(this, { root, card, lines, size, blocks: [], total: 0, shapes: { sum: 0, count: 0 } });
    root.classList.add("wall");
    new ResizeObserver(([entry]) => {
      if (Math.abs(entry.contentRect.width - this.width) > 0.5) this.#measure();
    }).observe(root);
    addEventListener("scroll", () => this.#soon(), { passive: true });
    addEventListener("resize", () => this.#soon());
  }

  // Show so many items; load(offset, limit) promises some of them. `place` is what was `shown`.
  show(total, load, place = null) {
    for (const block of this.blocks) block.element?.remove();
    const count = Math.ceil(total / BLOCK);
    this.blocks = Array.from({ length: count }, (_, b) => ({
      first: b * BLOCK, count: Math.min(BLOCK, total - b * BLOCK), items: null, asked: false, element: null, height: 0, top: 0,
    }));
    Object.assign(this, { total, load, place });
    this.#measure();
  }

  showAll(items, place = null) {
    this.show(items.length, async (offset, limit) => items.slice(offset, offset + limit), place);
  }

  #measure() {
    this.width = this.root.clientWidth;
    if (!this.width) return;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.gap = this.width < 600 ? 8 : 16;
    this.target = Math.max(110, Math.min(this.size, this.width / 2.7));
    this.caption = Math.round((CAPTION + FURTHER * this.lines) * rem);
    for (const block of this.blocks) {
      block.element?.remove();
      block.element = null;
      this.#lay(block);
    }
    this.#stack();
    this.#update();
  }

  #lay(block) {
    if (!block.items) {
      const mean = this.shapes.count ? this.shapes.sum / this.shapes.count : 1.1;
      const across = Math.max(1, this.width / (mean * this.target + this.gap));
      block.height = Math.ceil(block.count / across) * (this.target + this.caption + this.gap);
      return;
    }
    const isLast = block.first + block.count >= this.total;
    block.rows = rows(block.items.map((item) => shape(item.work)), this.width, this.gap, this.target, isLast);
    block.height = block.rows.reduce((sum, row) => sum + row.height + this.caption + this.gap, 0);
  }

  #stack() {
    let top = 0;
    for (const block of this.blocks) {
      block.top = top;
      block.element?.style.setProperty("top", `${top}px`);
      top += block.height;
    }
    this.root.style.setProperty("height", `${top}px`);
    this.#return();
  }

  // What is at the top of the window: {item, below}, the pixels that its row is below it.
  get shown() {
    const start = -this.root.getBoundingClientRect().top;
    const block = this.blocks.find(({ top, height, items }) => items && top + height > start);
    if (start <= 0 || !block) return null;
    const row = this.#tops(block).findLast(([, top]) => top <= start);
    return row && { item: row[0], below: row[1] - start };
  }

  #tops({ first, top, rows }) {
    let down = top;
    return rows.map(({ from, height }) => {
      const place = [first + from, down];
      down += height + this.caption + this.gap;
      return place;
    });
  }

  // Go back to where one was; for good once that part is known.
  #return() {
    const block = this.place && this.blocks[Math.floor(this.place.item / BLOCK)];
    if (!block) return;
    const [, top] = block.items ? this.#tops(block).findLast(([item]) => item <= this.place.item) : [0, block.top];
    scrollTo(0, scrollY + this.root.getBoundingClientRect().top + top - this.place.below);
    if (block.items) this.place = null;
  }

  #soon() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.#update(); });
  }

  #update() {
    const start = -this.root.getBoundingClientRect().top, ready = MARGIN * innerHeight;
    const near = this.blocks.filter((block) => block.top + block.height > start - ready && block.top < start + innerHeight + ready);
    for (const block of this.blocks) {
      if (near.includes(block)) this.#mount(block);
      else if (block.element && !block.element.contains(document.activeElement)) {
        block.element.remove();
        block.element = null;
      }
    }
    // Those that only rush by are not asked for.
    clearTimeout(this.pause);
    const wanted = near.filter((block) => !block.asked);
    if (wanted.length) this.pause = setTimeout(() => wanted.forEach((block) => this.#fetch(block)), this.shapes.count ? 60 : 0);
  }

  async #fetch(block) {
    block.asked = true;
    const items = await this.load(block.first, block.count);
    if (!this.blocks.includes(block)) return; // another wall by now
    if (!items) { block.asked = false; return; }
    block.items = items;
    block.count = items.length;
    for (const item of items) this.shapes.sum += shape(item.work);
    this.shapes.count += items.length;
    const before = block.height, above = block.top + before < -this.root.getBoundingClientRect().top;
    this.#lay(block);
    this.#stack();
    if (above && !this.place) scrollBy(0, block.height - before); // what is looked at stays where it is
    this.#update();
  }

  #mount(block) {
    if (block.element || !block.items) return;
    block.element = make("ol", { start: block.first + 1, style: { top: `${block.top}px` } });
    let top = 0;
    for (const { from, to, height } of block.rows) {
      let left = 0;
      for (let i = from; i < to; i++) {
        const width = height * shape(block.items[i].work);
        const card = this.card(block.items[i], { width, height });
        card.setAttribute("aria-posinset", block.first + i + 1);
        card.setAttribute("aria-setsize", this.total);
        const style = { left, top, width, height: height + this.caption };
        for (const [name, value] of Object.entries(style)) card.style.setProperty(name, `${value}px`);
        block.element.append(card);
        left += width + this.gap;
      }
      top += height + this.caption + this.gap;
    }
    const next = this.blocks.find((other) => other.first > block.first && other.element);
    this.root.insertBefore(block.element, next?.element ?? null); // the order of the keyboard
  }
}
