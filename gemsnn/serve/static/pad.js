// The sheet: strokes of a pointer, or of a pen that the arrow keys move.

const STEP = 1 / 28;
const FEWEST = 0.004; // of the sheet's side: places nearer to the last one are left out

export class Pad {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed; // called when a stroke ends
    this.strokes = [];
    this.stroke = null;
    this.picture = null; // what is shown instead of strokes, as a canvas
    this.pen = null; // the place of the pen that keys move
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => this.up());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => { this.up(); this.pen = null; this.draw(); });
  }

  clear() {
    this.strokes = [];
    this.stroke = this.picture = null;
    this.draw();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map(within);
  }

  down(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pen = null;
    this.begin(this.place(event));
  }

  begin(place) {
    this.picture = null;
    this.stroke = [place];
    this.strokes.push(this.stroke);
    this.draw();
  }

  move(event) {
    if (!this.stroke || this.pen) return;
    const coalesced = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of coalesced.length ? coalesced : [event]) {
      const place = this.place(each);
      const last = this.stroke[this.stroke.length - 1];
      if (Math.hypot(place[0] - last[0], place[1] - last[1]) >= FEWEST) this.stroke.push(place);
    }
    this.draw();
  }

  up() {
    if (!this.stroke) return;
    this.stroke = null;
    this.changed();
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      const from = this.pen || [0.5, 0.5];
      this.pen = [within(from[0] + STEP * way[0]), within(from[1] + STEP * way[1])];
      if (this.stroke) this.stroke.push(this.pen);
      this.draw();
    } else if (event.key === " ") {
      this.pen = this.pen || [0.5, 0.5];
      if (this.stroke) this.up();
      else this.begin(this.pen);
    } else return;
    event.preventDefault();
  }

  draw() {
    const { context, width, height } = prepared(this.canvas);
    context.strokeStyle = context.fillStyle = colour("--ink");
    context.lineWidth = 0.055 * width;
    context.lineCap = context.lineJoin = "round";
    if (this.picture) context.drawImage(this.picture, 0, 0, width, height);
    for (const stroke of this.strokes) {
      context.beginPath();
      stroke.forEach(([x, y], at) => (at ? context.lineTo(x * width, y * height) : context.moveTo(x * width, y * height)));
      if (stroke.length === 1) context.lineTo(stroke[0][0] * width + 0.01, stroke[0][1] * height); // a dot
      context.stroke();
    }
    if (this.pen) {
      context.strokeStyle = colour("--accent");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(this.pen[0] * width, this.pen[1] * height, 0.04 * width, 0, 7);
      context.stroke();
    }
  }
}

const within = (value) => Math.min(1, Math.max(0, value));

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A canvas as large as it is shown, emptied unless what is on it stays, whose unit is a pixel of the page.
export function prepared(canvas, emptied = true) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (emptied) context.clearRect(0, 0, width, height);
  return { context, width, height };
}
