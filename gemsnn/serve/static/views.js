// What is drawn of a showing: the sensor, probabilities and spikes over time, and confidence by compartments.

import { colour, prepared } from "./pad.js";

const LEFT = 22, BELOW = 18;

// The bins that are still to be drawn, on what was drawn before if that is still what is looked at.
function fresh(canvas, showing, key) {
  const seen = `${showing.id} ${key} ${canvas.clientWidth} ${canvas.clientHeight}`;
  const from = canvas.seen === seen ? canvas.drawn : 0;
  canvas.seen = seen;
  canvas.drawn = showing.lines.length;
  return { from, some: showing.lines.slice(from) };
}

function frame(canvas, showing, model, from) {
  const { context, width, height } = prepared(canvas, from === 0);
  context.font = "12px system-ui, sans-serif";
  const left = Math.max(LEFT, 8 + Math.max(...model.names.map((name) => Math.min(60, context.measureText(name).width))));
  const right = width - 4, bottom = height - BELOW;
  const bins = showing.bins;
  const x = (bin) => left + ((right - left) * bin) / bins;
  if (from) return { context, left, right, bottom, x, from };
  context.fillStyle = colour("--soft");
  context.textBaseline = "middle";
  const seconds = (bins * model.bin_us) / 1e6;
  const unit = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find((each) => seconds / each <= 5) || seconds;
  context.textAlign = "center";
  for (let t = 0; t <= seconds + 1e-9; t += unit) {
    const at = x((t * 1e6) / model.bin_us);
    context.textAlign = at > right - 12 ? "right" : "center";
    context.fillText(`${+t.toFixed(3)} s`, at, bottom + 11);
  }
  return { context, left, right, bottom, x, from };
}

function rows(drawn, model, value) {
  const { context, left, bottom, x } = drawn;
  const each = bottom / model.names.length;
  const step = Math.ceil(13 / each), soft = colour("--soft"), line = colour("--line");
  context.textAlign = "right";
  model.names.forEach((name, row) => {
    if (!drawn.from) {
      context.globalAlpha = 1;
      context.fillStyle = soft;
      if (row % step === 0) context.fillText(name, left - 6, (row + 0.5) * each, 60);
      context.fillStyle = line;
      context.globalAlpha = 0.5;
      context.fillRect(left, (row + 1) * each - 1, drawn.right - left, 1);
    }
    value(row, (bin, strength, fill) => {
      context.globalAlpha = strength;
      context.fillStyle = fill;
      context.fillRect(x(bin), row * each + 1, Math.max(1, x(bin + 1) - x(bin) - 0.3), Math.max(1, each - 2));
    });
  });
  context.globalAlpha = 1;
}

function counted(drawn, showing, height) {
  const { context, x } = drawn;
  if (!showing.begins) return;
  context.strokeStyle = colour("--soft");
  context.lineWidth = 1;
  context.setLineDash([4, 4]);
  context.beginPath();
  context.moveTo(x(showing.begins), 0);
  context.lineTo(x(showing.begins), height);
  context.stroke();
  context.setLineDash([]);
}

export function course(canvas, showing, model, number) {
  const { from, some } = fresh(canvas, showing, number);
  const drawn = frame(canvas, showing, model, from);
  const fill = colour("--accent");
  rows(drawn, model, (row, put) => {
    for (const bin of some) {
      const p = bin.probabilities[number - 1][row];
      if (p > 0.01) put(bin.bin, p, fill);
    }
  });
  counted(drawn, showing, drawn.bottom);
}

export function output(canvas, showing, model, number) {
  const { from, some } = fresh(canvas, showing, number);
  const drawn = frame(canvas, showing, model, from);
  const fill = colour("--raster");
  rows(drawn, model, (row, put) => {
    for (const bin of some) {
      const spikes = bin.visible.slice(0, number).filter((each) => each.includes(row)).length;
      if (spikes) put(bin.bin, Math.min(1, 0.15 + (0.85 * spikes) / number), fill);
    }
  });
  counted(drawn, showing, drawn.bottom);
}

export function rasters(canvas, showing, model, number) {
  const each = 18;
  canvas.style.height = `${each * model.compartments + BELOW}px`;
  const { from, some } = fresh(canvas, showing, number);
  const drawn = frame(canvas, showing, { ...model, names: [String(model.compartments)] }, from);
  const { context, left, x } = drawn;
  const right = drawn.right;
  const inner = (bin) => left + ((x(bin) - left) * (right - left - 26)) / (right - left);
  const last = showing.lines[showing.lines.length - 1];
  const ink = colour("--raster"), soft = colour("--soft"), accent = colour("--accent"), line = colour("--line");
  const dot = Math.max(1, Math.min(6, 0.8 * (inner(1) - inner(0))));
  const high = Math.max(1, (0.8 * (each - 3)) / showing.neurons);
  for (let k = 0; k < model.compartments; k += 1) {
    const top = k * each, within = k < number;
    context.globalAlpha = within ? 1 : 0.3;
    if (!from) {
      context.fillStyle = soft;
      context.textAlign = "right";
      if (k === 0 || (k + 1) % 5 === 0) context.fillText(String(k + 1), left - 6, top + each / 2);
      context.fillStyle = line;
      context.fillRect(left, top + each - 1, right - left, 0.5);
    }
    context.fillStyle = ink;
    for (const bin of some) {
      for (const neuron of bin.hidden[k]) {
        context.fillRect(inner(bin.bin), top + 1 + ((each - 3) * neuron) / showing.neurons, dot, high);
      }
    }
    if (last && last.bin >= showing.begins) {
      context.clearRect(right - 24, top, 24, each - 1);
      context.fillStyle = last.labels[number - 1] === last.votes[k] ? accent : soft;
      context.textAlign = "center";
      context.fillText(model.names[last.votes[k]], right - 12, top + each / 2, 24);
    }
  }
  context.globalAlpha = 1;
}

export function sensor(canvas, showing, model, moves) {
  const { context, width, height } = prepared(canvas);
  context.fillStyle = colour("--sheet");
  context.fillRect(0, 0, width, height);
  const last = showing.lines[showing.lines.length - 1];
  const scale = Math.min(width / model.width, height / model.height);
  context.save();
  if (model.mirrored && showing.picture) { // turned back, as it was drawn
    context.translate(model.width * scale, 0);
    context.scale(-1, 1);
  }
  const path = showing.path && showing.path[last && moves ? last.bin : 0];
  if (path) {
    const tall = 29.47, broad = 31.98; // of the picture, in pixels of the camera
    context.globalAlpha = 0.25;
    context.imageSmoothingEnabled = true;
    context.save();
    context.translate((path[0] + 0.5) * scale, (path[1] + 0.5) * scale);
    if (model.mirrored) context.scale(-1, 1);
    context.drawImage(showing.image, (-broad / 2) * scale, (-tall / 2) * scale, broad * scale, tall * scale);
    context.restore();
  }
  const on = colour("--on"), off = colour("--off");
  showing.lines.slice(-3).forEach((bin, age, some) => {
    context.globalAlpha = (age + 1 + 3 - some.length) / 3;
    for (const input of bin.inputs) {
      const pixel = Math.floor(input / model.channels);
      const column = Math.floor(pixel / model.height), row = pixel % model.height;
      context.fillStyle = model.channels === 1 || input % 2 ? on : off;
      context.fillRect(column * scale, row * scale, scale * 0.92, scale * 0.92);
    }
  });
  context.restore();
  context.globalAlpha = 1;
}

export function confidence(canvas, last, model, number) {
  const { context, width, height } = prepared(canvas);
  const best = last.probabilities.map((row) => Math.max(...row));
  const x = (k) => 34 + ((width - 44) * (model.compartments === 1 ? 0.5 : k / (model.compartments - 1)));
  const y = (p) => 8 + (height - 20) * (1 - p);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const p of [0, 0.5, 1]) {
    context.fillStyle = colour("--soft");
    context.fillText(`${100 * p} %`, 30, y(p), 30);
    context.fillStyle = colour("--line");
    context.fillRect(34, y(p), width - 38, 1);
  }
  context.strokeStyle = context.fillStyle = colour("--accent");
  context.lineWidth = 2;
  context.beginPath();
  best.forEach((p, k) => (k ? context.lineTo(x(k), y(p)) : context.moveTo(x(k), y(p))));
  context.stroke();
  context.beginPath();
  context.arc(x(number - 1), y(best[number - 1]), 5, 0, 7);
  context.fill();
}

// A picture of gray levels as an image of ink, its alpha the level.
export function inked(levels) {
  const canvas = document.createElement("canvas");
  canvas.height = levels.length;
  canvas.width = levels[0].length;
  const context = canvas.getContext("2d");
  const data = context.createImageData(canvas.width, canvas.height);
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = colour("--ink");
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  levels.flat().forEach((level, at) => data.data.set([red, green, blue, level], 4 * at));
  context.putImageData(data, 0, 0);
  return canvas;
}
