// The page: what is shown, the answer as it forms, the slider, and lessons.

import { Pad } from "./pad.js";
import * as views from "./views.js";

const $ = (id) => document.getElementById(id);
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

let model, pad, session, token, showing, last, pending, number, running;
let shows = 0;

const remembered = { get: () => { try { return sessionStorage.getItem("token"); } catch { return null; } },
  set: (value) => { try { sessionStorage.setItem("token", value); } catch { /* it is asked for again */ } } };

function findToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    remembered.set(given);
    history.replaceState(null, "", location.pathname);
  }
  return given || remembered.get();
}

// -- asking ---------------------------------------------------------------------------------------------------

async function asked(path, options = {}) {
  const response = await fetch(path, options);
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    const error = new Error(told.detail || `the server answered ${response.status}`);
    error.status = response.status;
    throw error;
  }
  return response;
}

const json = async (path, options) => (await asked(path, options)).json();

function trouble(error) {
  if (error && error.name === "AbortError") return;
  $("problem").hidden = !error;
  $("problem").textContent = error ? error.message : "";
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

async function inSession(path, options) {
  if (!session) session = (await json("api/sessions", { method: "POST" })).id;
  try {
    return await asked(`api/sessions/${session}/${path}`, options);
  } catch (error) {
    if (error.status !== 404) throw error;
    session = (await json("api/sessions", { method: "POST" })).id; // the old one was forgotten
    stands({ lessons: 0, undoable: 0 });
    return asked(`api/sessions/${session}/${path}`, options);
  }
}

const speed = () => document.querySelector("input[name=speed]:checked").value === "real";
const headers = () => ({ "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) });
const seed = () => Math.min(4294967295, Math.max(0, Math.floor(Number($("seed").value) || 0)));

async function show(what, file) {
  running?.abort();
  const mine = (running = new AbortController());
  const from = performance.now();
  pending = { what, file };
  $("again").disabled = false;
  const live = what?.kind === "live";
  pressed(live);
  trouble(null);
  const real = speed();
  const label = $("learn").checked && !file && !live ? $("lesson").value : null;
  try {
    const response = await (live
      ? inSession("live", { method: "POST", headers: headers(), signal: mine.signal, body: JSON.stringify({ seed: seed() }) })
      : file
      ? inSession(`file?seed=${seed()}&real_time=${real}`, { method: "POST", body: file, signal: mine.signal,
        headers: { "content-type": "application/octet-stream" } })
      : inSession(label === null ? "show" : "teach", { method: "POST", headers: headers(), signal: mine.signal,
        body: JSON.stringify({ shown: what, seed: seed(), real_time: real, ...(label === null ? {} : { label }) }) }));
    for await (const line of lines(response)) {
      if (running !== mine) return;
      take(line, from, real, label);
    }
  } catch (error) {
    if (running !== mine) return;
    pressed(false);
    if (error.name !== "AbortError") state("waiting");
    trouble(error);
  }
}

function pressed(live) {
  $("live").setAttribute("aria-pressed", live);
  $("live").textContent = live ? "Stop" : "Live";
}

function halted(why) {
  running?.abort();
  running = null;
  pressed(false);
  if (!showing?.live || showing.over) return;
  showing.over = true;
  $("sentence").textContent = `Live no more: ${why}.`;
  draw();
  state(last ? finding() : "waiting");
}

function take(line, from, real, label) {
  if (line.line === "begin") {
    showing = { ...line, id: (shows += 1), lines: [], from, at: performance.now(), image: line.picture && views.inked(line.picture), taught: label };
    last = null;
    if (pending.what?.kind === "scribble") { pad.picture = showing.image; pad.draw(); }
    $("sentence").textContent = showing.live ? `Live: ${showing.live}` : label === null ? "Looking …" : `Learning that this is ${label} …`;
    $("label").textContent = "…";
    $("detail").textContent = [recorded(), ...line.notes].join(" ");
    $("delay").textContent = $("strange").textContent = "–";
    state(showing.live ? "live" : "looking");
  } else if (line.line === "bin") {
    if (showing.live && line.presentation !== showing.presentation) { // the next stretch of the trained length
      if (still.matches) draw();
      Object.assign(showing, { id: (shows += 1), lines: [], presentation: line.presentation });
    }
    showing.lines.push(line);
    last = line;
    later();
  } else if (line.line === "stopped") {
    if (showing.live) halted(line.detail);
  } else if (line.line === "end") {
    showing.answer = line.answer;
    draw();
    // what is drawn now is on the screen with the next frame
    requestAnimationFrame(() => requestAnimationFrame(() => {
      const now = performance.now();
      const due = real ? showing.at + (showing.bins * model.bin_us) / 1000 : showing.from;
      const after = Math.max(0, Math.round(now - due));
      $("answer").dataset.afterMs = after;
      $("delay").textContent = real ? `${after} ms after its last bin` : `${after} ms after it was shown`;
      state(finding());
    }));
    stands(line.session);
  }
}

// -- what is seen ----------------------------------------------------------------------------------------------

function state(value) { $("answer").dataset.state = value; }

let waiting = false;
function later() {
  if (waiting || still.matches) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function draw() {
  if (!showing || !showing.lines.length) return;
  numbers();
  views.sensor($("sensor"), showing, model, !still.matches);
  views.course($("course"), showing, model, number);
  views.output($("output"), showing, model, number);
  views.rasters($("rasters"), showing, model, number);
  views.confidence($("confidence"), last, model, number);
}

const whole = () => number === model.compartments;
const percent = (p) => `${p > 0.995 && p < 1 ? "> 99" : Math.round(100 * p)} %`;

function current() {
  const at = number - 1;
  const answer = whole() ? showing.answer : null;
  if (answer) return { label: answer.label, p: model.names.map((name) => answer.probabilities[name]), entropy: answer.entropy,
    set: answer.set.classes, promised: answer.set.promised, risk: answer.set.risk };
  const label = last.labels[at];
  const promised = whole() && last.promised !== null;
  return { label: label < 0 ? null : model.names[label], p: last.probabilities[at], entropy: last.entropy[at],
    set: (promised ? last.promised : last.sets[at]).map((each) => model.names[each]), promised, risk: null };
}

function finding() {
  const now = current();
  if (now.label === null) return "silent";
  if (showing.answer && showing.answer.finding === "strange") return "strange";
  return now.set.length === 1 ? "sure" : "unsure";
}

const listed = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`);

function numbers() {
  const now = current();
  const seen = last.bin >= showing.begins;
  model.names.forEach((name, row) => {
    const bar = $("bars").children[row];
    bar.classList.toggle("within", seen && now.set.includes(name));
    bar.querySelector("i").style.width = `${100 * now.p[row]}%`;
    bar.lastChild.textContent = percent(now.p[row]);
  });
  $("entropy").value = now.entropy;
  $("entropy-number").textContent = `${now.entropy.toFixed(2)} of ${Math.log(model.names.length).toFixed(2)} nats`;
  const some = now.set.length > 6 ? `${now.set.length} classes` : `{ ${now.set.join(", ")} }`;
  $("set").textContent = seen ? some : "–";
  $("set-promise").textContent = !seen ? "" : now.promised
    ? (now.risk === null ? "so far" : `the right one is missing from at most ${percent(now.risk)} of such sets`)
    : "95 % of the probability; nothing is promised";
  const shown = now.label === null || !seen ? "…" : now.label;
  $("label").textContent = shown;
  $("label").classList.toggle("long", shown.length > 3);
  if (showing.live) sensed();
  if (showing.answer) ended(now);
}

function sensed() {
  $("delay").textContent = `${Math.round(last.lag_ms)} ms after its bin`;
  $("detail").textContent = [`An answer rests on the last ${showing.window} bins.`, last.dropped_bins ? `${last.dropped_bins} bins were dropped.` : "",
    ...showing.notes].join(" ");
}

function ended(now) {
  const answer = showing.answer, found = finding();
  const best = percent(Math.max(...now.p));
  const alike = now.set.length > 4 ? "many classes" : listed(now.set);
  const words = {
    sure: [`This is ${now.label}.`, `${best} of the probability.`],
    unsure: [now.set.length ? `Unsure: ${alike}.` : "Unsure: no class fits.", `${now.label} has ${best} of the probability.`],
    strange: ["This looks like nothing it has learned.", `If it had to be a class: ${now.label}, with ${best} of the probability.`],
    silent: ["Too little to see.", "Hardly an event came."],
  }[found];
  $("sentence").textContent = showing.taught === null ? words[0] : `Taught as ${showing.taught}. Before, it would have said: ${words[0]}`;
  $("label").textContent = found === "silent" ? "–" : found === "strange" ? "?" : now.label;
  const some = whole() ? "" : `${number} of ${model.compartments} compartments.`;
  $("detail").textContent = [words[1], some, recorded()].join(" ");
  $("strange").textContent = answer.strange === null
    ? (model.promise ? "unknown: its weights are no longer those of the certificate" : "unknown: the run has no certificate")
    : `p = ${answer.strange.toFixed(3)} inside, ${answer.strange_inputs === null ? "–" : answer.strange_inputs.toFixed(3)} of what came in`;
  if ($("answer").dataset.state !== "looking") state(found);
}

const recorded = () => (showing.label === null ? "" : `It was recorded as ${showing.label}.`);

function stands({ lessons, undoable }) {
  $("undo").disabled = !undoable || !token;
  const told = lessons === 0 ? "Nothing has been taught: its weights are those of the training."
    : `${lessons} ${lessons === 1 ? "lesson" : "lessons"} taught in this session. Show something to see what it says now.`;
  $("lessons").textContent = !model.teaches ? `It cannot be taught: ${model.unteachable}.`
    : token ? told : "To teach it, open the page by the address that the server printed.";
}

// -- controls --------------------------------------------------------------------------------------------------

async function begin() {
  token = findToken();
  model = await json("api/model");
  number = model.compartments;
  $("run").textContent = model.run;
  document.title = `gemsnn: ${model.run}`;
  const time = (model.steps * model.bin_us) / 1e6;
  $("about").textContent = `${model.hidden} hidden neurons, ${model.names.length} classes, ${model.compartments} compartments; `
    + `a recording lasts ${+time.toFixed(3)} s in ${model.steps} bins`;
  $("promise").textContent = [model.promise || "", ...model.notes].join(" ");
  $("compartments").max = model.compartments;
  $("compartments").value = $("number").textContent = number;
  $("entropy").max = Math.log(model.names.length);
  $("bars").style.gridTemplateRows = `repeat(${Math.ceil(model.names.length / 2)}, auto)`;
  for (const name of model.names) {
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.setAttribute("role", "listitem");
    bar.innerHTML = '<span></span><span class="track"><i></i></span><span>–</span>';
    bar.firstChild.textContent = name;
    $("bars").append(bar);
    $("lesson").append(new Option(name, name));
  }
  for (const each of model.recordings) $("recordings").append(new Option(`${each.number}: ${each.label}`, each.number));
  $("offered").hidden = !model.recordings.length;
  $("drawn").hidden = !model.draws;
  $("sensed").hidden = model.live === null;
  $("source").textContent = `The sensor, ${model.live}`;
  $("learn").disabled = $("lesson").disabled = !token || !model.teaches;
  if (still.matches) document.querySelector("input[value=fast]").checked = true;
  stands({ lessons: 0, undoable: 0 });

  pad = new Pad($("pad"), () => show({ kind: "drawing", strokes: pad.strokes.map((stroke) => stroke.map((place) => [...place])) }));
  const again = () => pending && show(pending.what, pending.file);
  $("clear").addEventListener("click", () => { halted("it was stopped"); pad.clear(); });
  $("live").addEventListener("click", () => {
    if ($("live").getAttribute("aria-pressed") === "true") halted("it was stopped");
    else { pad.clear(); show({ kind: "live" }); }
  });
  $("again").addEventListener("click", again);
  $("scribble").addEventListener("click", () => { pad.clear(); show({ kind: "scribble", number: Math.floor(Math.random() * 1e6) }); });
  $("pick").addEventListener("click", () => { pad.clear(); show({ kind: "recording", number: Number($("recordings").value) }); });
  $("file").addEventListener("change", () => {
    const file = $("file").files[0];
    if (!file) return;
    pad.clear();
    if (file.size > model.largest_file) trouble(new Error(`the file is larger than ${model.largest_file} bytes`));
    else show(null, file);
  });
  $("noise").addEventListener("click", () => { $("seed").value = Math.floor(Math.random() * 1e6); again(); });
  $("compartments").addEventListener("input", () => {
    number = Number($("compartments").value);
    $("number").textContent = number;
    draw();
  });
  $("undo").addEventListener("click", async () => {
    try {
      stands(await (await inSession("undo", { method: "POST", headers: headers() })).json());
      trouble(null);
    } catch (error) { trouble(error); }
  });
  const anew = () => { shows += 1; if (showing) showing.id = shows; if (showing?.picture) showing.image = views.inked(showing.picture); if (pad.picture) pad.picture = showing.image; pad.draw(); draw(); };
  window.addEventListener("resize", anew);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
  pad.draw();
  document.body.dataset.ready = "yes";
}

begin().catch(trouble);
