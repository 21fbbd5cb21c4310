// Maps that can be moved: buttons, + and −, arrows, dragging, two fingers, the wheel with Ctrl. A wheel alone and one
// finger scroll the page as ever. The ground gets another viewBox; what stands on it gets other percentages, and keeps
// its size. Nothing glides, so that nothing needs to stop for people who want no motion.

const CLOSEST = 16; // times
const STEP = 1.6; // of a button or key
const PART = 0.2; // of the map, for an arrow key
const DRAG = 4; // pixels, or it was a click

const clamp = (value, least, most) => Math.min(Math.max(value, least), Math.max(least, most));
const percent = (element, name) => parseFloat(element.getAttribute(name));

/** The largest of 1, 2, 5, 10, 20, 50 … that is not above the limit. */
function roundBelow(limit) {
  const power = 10 ** Math.floor(Math.log10(limit));
  return [5, 2, 1].find((digit) => digit * power <= limit * (1 + 1e-9)) * power;
}

/** What stands on the ground: what moves with it, in percent, and how far aside of that something stands. */
function standing(picture) {
  const all = [];
  const add = (element, x, y, fromX, fromY) => {
    const at = [percent(element, x), percent(element, y)];
    const from = [fromX ?? at[0], fromY ?? at[1]];
    all.push({ element, x, y, from, aside: [at[0] - from[0], at[1] - from[1]] });
  };
  for (const pin of picture.querySelectorAll(".map__pin > svg, .map__towns > svg, :scope > svg:has(> .map__here), .map__distance")) {
    add(pin, "x", "y", ...(pin.dataset.point?.split(" ").map(parseFloat) ?? []));
  }
  for (const line of picture.querySelectorAll(".map__aside > line")) {
    add(line, "x1", "y1");
    add(line, "x2", "y2", percent(line, "x1"), percent(line, "y1"));
  }
  for (const foot of picture.querySelectorAll(".map__aside > circle")) add(foot, "cx", "cy");
  return all;
}

class MovingMap {
  constructor(figure) {
    this.figure = figure;
    this.picture = figure.querySelector(".map__picture");
    this.ground = figure.querySelector(".map__ground");
    this.whole = this.ground.getAttribute("viewBox").split(" ").map(Number);
    this.limits = this.picture.dataset.limits.split(" ").map(Number);
    this.standing = standing(this.picture);
    this.fingers = new Map();
    this.back();
    this.listen();
  }

  get times() {
    return this.whole[2] / this.width;
  }

  back() {
    [this.x, this.y, this.width, this.height] = this.whole;
    this.draw();
  }

  /** Closer by a factor; the point at these parts of the map stays where it is. */
  zoom(factor, partX = 0.5, partY = 0.5) {
    const farthest = Math.max(this.whole[2] / this.limits[2], this.whole[3] / this.limits[3]);
    const times = clamp(this.times * factor, farthest, CLOSEST);
    const [width, height] = [this.whole[2] / times, this.whole[3] / times];
    this.x += (this.width - width) * partX;
    this.y += (this.height - height) * partY;
    [this.width, this.height] = [width, height];
    this.draw();
  }

  /** By parts of the map. */
  move(partX, partY) {
    this.x += this.width * partX;
    this.y += this.height * partY;
    this.draw();
  }

  draw() {
    const [left, top, width, height] = this.limits;
    this.x = clamp(this.x, left, left + width - this.width);
    this.y = clamp(this.y, top, top + height - this.height);
    this.ground.setAttribute("viewBox", [this.x, this.y, this.width, this.height].map(Math.round).join(" "));
    for (const { element, x, y, from, aside } of this.standing) {
      const atX = (from[0] * this.whole[2] / 100 - this.x) / this.width * 100;
      const atY = (from[1] * this.whole[3] / 100 - this.y) / this.height * 100;
      element.setAttribute(x, `${(atX + aside[0]).toFixed(2)}%`);
      element.setAttribute(y, `${(atY + aside[1]).toFixed(2)}%`);
    }
    this.measure();
    this.name();
    const still = [this.x, this.y, this.width].every((value, at) => Math.abs(value - this.whole[at]) < 1);
    this.figure.querySelector(".map__width").hidden = !still;
  }

  measure() {
    const scale = this.picture.querySelector(".map__scale");
    if (!scale) return;
    const { width, unit } = this.picture.dataset;
    const shown = Number(width) / this.times;
    const length = roundBelow(shown * 0.26);
    const end = `${(length / shown * 100).toFixed(2)}%`;
    const [bar, , tick] = scale.querySelectorAll("line");
    bar.setAttribute("x2", end);
    tick.setAttribute("x1", end);
    tick.setAttribute("x2", end);
    const text = scale.querySelector("text");
    text.setAttribute("x", `${(length / shown * 50).toFixed(2)}%`);
    text.textContent = `${length.toLocaleString(document.documentElement.lang)} ${unit}`;
  }

  /** Shows the names for which there is room now: as if the map were as many times as wide. */
  name() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const width = this.figure.getBoundingClientRect().width / rem * this.times;
    for (const group of this.picture.querySelectorAll(".map__towns")) {
      const { from, to = Infinity } = group.dataset;
      group.style.display = from <= width && width < to ? "inline" : "none";
    }
  }

  listen() {
    const { figure, picture } = this;
    picture.tabIndex = 0;
    new ResizeObserver(() => this.name()).observe(figure);
    for (const button of figure.querySelectorAll("[data-zoom]")) {
      button.hidden = false;
      button.addEventListener("click", () => this.press(button.dataset.zoom));
    }
    picture.addEventListener("keydown", (event) => this.type(event));
    picture.addEventListener("wheel", (event) => this.roll(event), { passive: false });
    picture.addEventListener("pointerdown", (event) => this.take(event));
    picture.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) picture.addEventListener(end, (event) => this.leave(event));
    // Two fingers are ours: the browser must not take them for scrolling.
    picture.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
    picture.addEventListener("click", (event) => this.dragged && event.detail && event.preventDefault(), { capture: true });
    picture.addEventListener("dragstart", (event) => event.preventDefault());
  }

  press(what) {
    if (what === "whole") this.back();
    else this.zoom(what === "in" ? STEP : 1 / STEP);
  }

  type(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP), 0: () => this.back(),
      ArrowLeft: () => this.move(-PART, 0), ArrowRight: () => this.move(PART, 0),
      ArrowUp: () => this.move(0, -PART), ArrowDown: () => this.move(0, PART),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }

  /** Touchpads report pinching as a wheel with Ctrl. */
  roll(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 200), ...this.part(event.clientX, event.clientY));
  }

  take(event) {
    if (event.button !== 0) return;
    this.dragged = false;
    this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    this.start = [event.clientX, event.clientY];
  }

  drag(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before || (event.pointerType === "touch" && this.fingers.size < 2)) return;
    const now = [event.clientX, event.clientY];
    if (!this.dragged && Math.hypot(now[0] - this.start[0], now[1] - this.start[1]) < DRAG) return;
    if (!this.dragged) this.picture.setPointerCapture(event.pointerId);
    this.dragged = true;
    const { width, height } = this.picture.getBoundingClientRect();
    const share = this.fingers.size;
    this.move((before[0] - now[0]) / width / share, (before[1] - now[1]) / height / share);
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const apart = (at) => Math.max(Math.hypot(at[0] - other[0], at[1] - other[1]), 1);
      this.zoom(apart(now) / apart(before), ...this.part((now[0] + other[0]) / 2, (now[1] + other[1]) / 2));
    }
    this.fingers.set(event.pointerId, now);
  }

  leave(event) {
    this.fingers.delete(event.pointerId);
  }

  part(x, y) {
    const { left, top, width, height } = this.picture.getBoundingClientRect();
    return [(x - left) / width, (y - top) / height];
  }
}

/** Maps that are there, or that came later. */
export function move(within) {
  for (const figure of within.querySelectorAll("[data-map]")) new MovingMap(figure);
}

move(document);
