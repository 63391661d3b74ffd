"use strict";

const $ = (id) => document.getElementById(id);
const UNCERTAIN = "uncertain";
const SAMPLE_SECONDS = 0.25; // of the timeline
const GONE_SECONDS = 1; // detectors blink
const FADE_SECONDS = 2; // how long a face that is gone stays, pale
const SILENT_SECONDS = 5; // the device sends its health every second
const SHORTEST_SPAN = 60; // of the timeline, until there is more to show
const BREAK_SECONDS = 1.6; // a longer pause is a gap in the timeline
const NEXT_FRAME = 1.5; // times the last pause is no break yet, however far apart frames are
const MOST_LANES = 4;
const UPLOAD_SIDE = 1600;

// Names that models use for the same expression; other labels get what is left, in order.
const PALETTE = [
  [/^(happ|joy|smil)/i, "happy"],
  [/^surpris/i, "surprise"],
  [/^sad/i, "sad"],
  [/^(angr|anger)/i, "angry"],
  [/^disgust/i, "disgust"],
  [/^(fear|afraid|scared)/i, "fear"],
  [/^contempt/i, "contempt"],
  [/^(neutral|calm)/i, "neutral"],
];

let about = { labels: [], model: "", kept_seconds: 300 };
let colours = new Map(); // label -> CSS variable
let status = null;
let heardAt = performance.now();
let shown = null; // the picture on the stage: {at, age}
let refused = ""; // why the device sends no picture

// Small helpers

const seconds = () => performance.now() / 1000;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const percent = (share) => `${Math.round(100 * share)} %`;
const colourOf = (label) => colours.get(label) || "--uncertain";

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function lasting(time) {
  if (time > 0 && time < 1) return `${Math.round(time * 1000)} ms`;
  if (time < 10) return `${time.toFixed(1)} s`;
  if (time < 120) return `${Math.round(time)} s`;
  return time < 7200 ? `${Math.round(time / 60)} min` : `${Math.round(time / 3600)} h`;
}

// How far apart frames are (--max-fps may be one in a minute), as emo_edge/tracking.py has it.
class Rhythm {
  constructor(least) {
    this.least = least;
    this.at = null;
    this.pause = 0;
  }

  get longest() {
    return Math.max(this.least, NEXT_FRAME * this.pause);
  }

  // Takes in a frame; returns whether it is the next one, not one after a break.
  take(at) {
    const longest = this.longest;
    this.pause = this.at === null ? 0 : at - this.at;
    this.at = at;
    return this.pause <= longest;
  }
}

// What the device says of itself

function chooseColours(labels) {
  const free = PALETTE.map(([, name]) => name);
  const known = labels.map((label) => (PALETTE.find(([pattern]) => pattern.test(label)) || [])[1]);
  known.filter(Boolean).forEach((name) => free.includes(name) && free.splice(free.indexOf(name), 1));
  colours = new Map(labels.map((label, i) => [label, `--${known[i] || free.shift() || "neutral"}`]));
}

function onHello(hello) {
  about = hello;
  chooseColours(hello.labels);
  setText($("model"), hello.model);
  setText($("about"), `emo-toolkit ${hello.version}`);
  const legend = hello.labels.map((label) => {
    const item = make("li", "", label);
    item.style.setProperty("--label", `var(${colourOf(label)})`);
    return item;
  });
  legend.push(make("li", "uncertain", UNCERTAIN));
  $("legend").replaceChildren(...legend);
  timeline.restart(hello);
}

// [state, headline, what to say under it]
function verdict() {
  const name = status ? status.source.name : "";
  if (refused) return ["refused", "Waiting", `${refused}.`];
  if (seconds() - heardAt / 1000 > SILENT_SECONDS) {
    return ["offline", "No connection", "The device does not answer; trying again."];
  }
  if (!status) return ["connecting", "Connecting", ""];
  if (status.source.state === "lost") {
    const why = status.source.error ? ` (${status.source.error})` : "";
    const away = lasting(Math.round(status.source.seconds_in_state));
    return ["lost", "Camera lost", `${name} has been away for ${away}${why}. It is opened again as soon as it is back.`];
  }
  if (status.source.state === "opening") return ["starting", "Starting", `Waiting for the first frame of ${name}.`];
  if (!status.ok) return ["stuck", "Stuck", status.reasons.join("; ")];
  return ["live", status.source.kind === "live" ? "Live" : "Playing", ""];
}

function showState() {
  const [state, headline, more] = verdict();
  document.body.dataset.state = state;
  setText($("state-text"), headline);
  document.title = state === "live" ? "emo-edge" : `${headline} – emo-edge`;
  $("veil").hidden = state === "live";
  if ($("veil").dataset.text !== headline + more) {
    $("veil").dataset.text = headline + more;
    $("veil").replaceChildren(make("strong", "", headline), make("span", "", more));
  }
  const age = shown ? shown.age + seconds() - shown.at : null;
  setText($("age"), age === null ? "–" : lasting(age));
}

function onStatus(news) {
  status = news;
  setText($("fps"), `${news.loop.fps.toFixed(1)} fps`);
  const celsius = news.board && news.board.celsius;
  $("celsius-fact").hidden = celsius === null || celsius === undefined;
  if (typeof celsius === "number") setText($("celsius"), `${Math.round(celsius)} °C`);
  const notes = news.warnings.join("\n");
  if ($("notes").dataset.text !== notes) {
    $("notes").dataset.text = notes;
    $("notes").replaceChildren(...news.warnings.map((text) => make("li", "", text)));
  }
  $("notes").hidden = !news.warnings.length;
  showState();
}

// Faces: a card each, with a bar for every probability

function newCard(track) {
  const card = make("article", "face");
  const title = make("h3");
  const parts = { label: make("b"), confidence: make("small"), who: make("small", "who", track ? `Face ${track}` : "") };
  title.append(parts.label, parts.confidence, parts.who);
  card.append(title);
  parts.bars = new Map(
    about.labels.map((label) => {
      const bar = make("div", "bar");
      const fill = make("i");
      fill.setAttribute("role", "meter");
      fill.setAttribute("aria-label", label);
      fill.setAttribute("aria-valuemin", "0");
      fill.setAttribute("aria-valuemax", "100");
      fill.style.setProperty("--label", `var(${colourOf(label)})`);
      const share = make("span", "share");
      bar.append(make("span", "name", label), fill, share);
      card.append(bar);
      return [label, { bar, fill, share }];
    }),
  );
  return { card, parts };
}

function fillCard({ card, parts }, face) {
  const unsure = face.label === UNCERTAIN;
  const best = Object.entries(face.probabilities).reduce((a, b) => (b[1] > a[1] ? b : a))[0];
  card.classList.toggle("uncertain", unsure);
  setText(parts.label, face.label);
  setText(parts.confidence, unsure ? `closest: ${best} ${percent(face.probabilities[best])}` : percent(face.confidence));
  for (const [label, probability] of Object.entries(face.probabilities)) {
    const { bar, fill, share } = parts.bars.get(label);
    bar.classList.toggle("best", label === (unsure ? best : face.label));
    fill.style.setProperty("--share", `${100 * probability}%`);
    fill.setAttribute("aria-valuenow", Math.round(100 * probability));
    setText(share, percent(probability));
  }
}

const cards = new Map(); // track -> {card, parts, seenAt}
const frames = new Rhythm(GONE_SECONDS);

function onReadings(news) {
  frames.take(seconds());
  for (const face of news.faces) {
    if (!cards.has(face.track)) {
      cards.set(face.track, newCard(face.track));
      $("faces").append(cards.get(face.track).card);
    }
    const entry = cards.get(face.track);
    entry.seenAt = seconds();
    entry.card.classList.remove("gone");
    fillCard(entry, face);
  }
  timeline.add(news.now - news.age, news.faces);
}

function dropFaces() {
  for (const [track, { card, seenAt }] of cards) {
    const missing = seconds() - seenAt;
    card.classList.toggle("gone", missing > frames.longest);
    if (missing > frames.longest + FADE_SECONDS) {
      card.remove();
      cards.delete(track);
    }
  }
  $("nobody").hidden = cards.size > 0;
  setText($("nobody"), document.body.dataset.state === "live" ? "No face in view" : "No readings now");
}

function showBoxes(layer, faces) {
  while (layer.children.length > faces.length) layer.lastChild.remove();
  while (layer.children.length < faces.length) {
    const box = make("div", "box");
    box.append(make("span"));
    layer.append(box);
  }
  faces.forEach((face, i) => {
    const box = layer.children[i];
    const [x, y, w, h] = face.box;
    box.className = "box";
    box.classList.toggle("uncertain", face.label === UNCERTAIN);
    box.classList.toggle("low", y < 0.1);
    box.classList.toggle("right", x > 0.7);
    box.style.setProperty("--label", `var(${colourOf(face.label)})`);
    Object.assign(box.style, { left: `${100 * x}%`, top: `${100 * y}%`, width: `${100 * w}%`, height: `${100 * h}%` });
    const which = faces.length > 1 ? `${face.track}: ` : "";
    const sure = face.label === UNCERTAIN ? "" : ` ${percent(face.confidence)}`;
    setText(box.firstChild, which + face.label + sure);
  });
}

function paint(canvas, bitmap) {
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

// The timeline: probabilities stacked over time, the label shown as a strip below

const timeline = {
  canvas: $("timeline"),
  tracks: new Map(), // number -> {lane, rhythm, samples: [{at, label, shares, joined}]}
  ahead: 0, // of the page's clock before the device's

  restart({ now, history }) {
    this.tracks.clear();
    this.ahead = seconds() - now;
    for (const [at, track, label, shares] of history) this.put(track, at, label, shares);
  },

  add(at, faces) {
    for (const face of faces) {
      const last = this.tracks.get(face.track)?.samples.at(-1);
      if (last && at - last.at < SAMPLE_SECONDS) continue;
      this.put(face.track, at, face.label, Object.values(face.probabilities).map((share) => 100 * share));
    }
  },

  put(number, at, label, shares) {
    if (!this.tracks.has(number)) {
      this.tracks.set(number, { lane: this.freeLane(at), rhythm: new Rhythm(BREAK_SECONDS), samples: [] });
    }
    const { rhythm, samples } = this.tracks.get(number);
    samples.push({ at, label, shares, joined: rhythm.take(at) });
  },

  freeLane(at) {
    const busy = new Set();
    for (const { lane, rhythm } of this.tracks.values()) {
      if (rhythm.at > at - rhythm.longest) busy.add(lane);
    }
    let lane = 0;
    while (busy.has(lane)) lane += 1;
    return lane;
  },

  prune(since) {
    for (const [number, track] of this.tracks) {
      const first = track.samples.findIndex(({ at }) => at >= since);
      if (first < 0) this.tracks.delete(number);
      else track.samples.splice(0, first);
    }
  },

  draw() {
    const style = getComputedStyle(document.documentElement);
    this.ink = new Map(["--line", "--quiet", "--uncertain", ...colours.values()].map((name) => [name, style.getPropertyValue(name)]));
    const now = seconds() - this.ahead;
    this.prune(now - about.kept_seconds);
    const oldest = Math.min(now, ...[...this.tracks.values()].map(({ samples }) => samples[0].at));
    const span = Math.min(about.kept_seconds, Math.max(SHORTEST_SPAN, now - oldest));
    const lanes = Math.min(MOST_LANES, Math.max(1, ...[...this.tracks.values()].map(({ lane }) => lane + 1)));
    const width = this.canvas.clientWidth;
    const laneHeight = width < 500 ? 58 : 74;
    const height = lanes * laneHeight + 20;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const place = (at) => width * (1 - (now - at) / span);
    this.drawAxis(pen, width, lanes * laneHeight, span);
    for (const [number, { lane, samples }] of this.tracks) {
      if (lane >= MOST_LANES) continue;
      this.drawTrack(pen, number, samples, place, lane * laneHeight, laneHeight - 14);
    }
  },

  drawAxis(pen, width, bottom, span) {
    const step = [15, 30, 60].find((size) => span / size <= 6) || 60;
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "top";
    for (let ago = 0; ago <= span; ago += step) {
      const x = width * (1 - ago / span);
      pen.fillStyle = this.ink.get("--line");
      pen.fillRect(Math.min(width - 1, x), 0, 1, bottom);
      pen.fillStyle = this.ink.get("--quiet");
      pen.textAlign = ago === 0 ? "right" : x < 24 ? "left" : "center";
      const text = ago === 0 ? "now" : ago % 60 ? `−${ago} s` : `−${ago / 60} min`;
      pen.fillText(text, x, bottom + 5);
    }
  },

  drawTrack(pen, number, samples, place, top, height) {
    let begun = 0;
    for (let i = 1; i <= samples.length; i += 1) {
      if (i < samples.length && samples[i].joined) continue;
      this.drawRun(pen, `Face ${number}`, samples.slice(begun, i), place, top, height);
      begun = i;
    }
  },

  drawRun(pen, name, run, place, top, height) {
    const area = height - 8;
    const unsure = this.hatch(pen);
    const points = run.map(({ at, shares }) => ({ x: place(at), shares }));
    const end = place(run.at(-1).at + SAMPLE_SECONDS);
    points.push({ x: end, shares: run.at(-1).shares });
    let floor = points.map(() => top + area);
    about.labels.forEach((label, k) => {
      const ceiling = points.map(({ shares }, i) => floor[i] - (area * (shares[k] || 0)) / 100);
      pen.beginPath();
      points.forEach(({ x }, i) => pen.lineTo(x, ceiling[i]));
      for (let i = points.length - 1; i >= 0; i -= 1) pen.lineTo(points[i].x, floor[i]);
      pen.fillStyle = this.ink.get(colourOf(label));
      pen.globalAlpha = 0.78;
      pen.fill();
      floor = ceiling;
    });
    pen.globalAlpha = 1;
    run.forEach(({ at, label }, i) => {
      const x = place(at);
      const next = i + 1 < run.length ? place(run[i + 1].at) : end;
      pen.fillStyle = label === UNCERTAIN ? unsure : this.ink.get(colourOf(label));
      pen.fillRect(x, top + area + 3, next - x + 0.5, 5);
    });
    const left = Math.max(6, points[0].x + 6);
    if (end - left < 52) return;
    pen.font = "600 12px system-ui, sans-serif";
    const wide = pen.measureText(name).width;
    pen.fillStyle = "rgb(12 16 15 / 62%)";
    pen.beginPath();
    if (pen.roundRect) pen.roundRect(left - 1, top + 4, wide + 12, 19, 9);
    else pen.rect(left - 1, top + 4, wide + 12, 19);
    pen.fill();
    pen.fillStyle = "#fff";
    pen.textAlign = "left";
    pen.textBaseline = "top";
    pen.fillText(name, left + 5, top + 7.5);
  },

  hatch(pen) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const ink = tile.getContext("2d");
    ink.strokeStyle = this.ink.get("--uncertain");
    ink.lineWidth = 1.6;
    ink.beginPath();
    for (const shift of [-6, 0, 6]) {
      ink.moveTo(shift, 6);
      ink.lineTo(shift + 6, 0);
    }
    ink.stroke();
    return pen.createPattern(tile, "repeat");
  },
};

// What is fetched: readings as events, pictures one after the other; nothing while nobody looks

let events = null;

function listen() {
  events?.close();
  events = new EventSource("/api/readings");
  const on = (kind, take) =>
    events.addEventListener(kind, (event) => {
      heardAt = performance.now();
      take(JSON.parse(event.data));
    });
  on("hello", onHello);
  on("status", onStatus);
  on("readings", onReadings);
}

async function listenAgain() {
  if (document.hidden || performance.now() - heardAt < SILENT_SECONDS * 1000) return;
  const answer = await fetch("/healthz").catch(() => null);
  if (answer?.status === 401) location.reload(); // another run, another token
  else if (answer) listen();
}

async function watch() {
  let number = 0;
  for (;;) {
    if (document.hidden) {
      await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
      continue;
    }
    try {
      const answer = await fetch(`/picture.jpg?after=${number}`);
      refused = answer.status === 503 ? (await answer.json()).error : "";
      if (answer.status === 200) {
        const bitmap = await createImageBitmap(await answer.blob());
        number = Number(answer.headers.get("Emo-Frame"));
        shown = { at: seconds(), age: Number(answer.headers.get("Emo-Age")) };
        paint($("picture"), bitmap);
        showBoxes($("boxes"), JSON.parse(answer.headers.get("Emo-Faces")));
        bitmap.close();
      } else if (answer.status !== 204) await sleep(2000);
    } catch {
      await sleep(2000); // the device is away: the state says so
    }
  }
}

document.addEventListener("visibilitychange", () => {
  heardAt = performance.now();
  if (document.hidden) events?.close();
  else listen();
});

// One picture: made small and turned upright here, so that little is sent

async function shrink(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, UPLOAD_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = $("upload");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
}

async function classify(file) {
  const note = (text) => setText($("upload-note"), text);
  note("Reading the picture");
  showBoxes($("upload-boxes"), []);
  $("upload-faces").replaceChildren();
  let picture;
  try {
    picture = await shrink(file);
  } catch {
    $("result").hidden = true;
    return note("That file is no picture that this browser can open.");
  }
  $("result").hidden = false;
  try {
    const answer = await fetch("/api/classify", { method: "POST", headers: { "Content-Type": "image/jpeg" }, body: picture });
    const news = await answer.json();
    return answer.ok ? showResult(news, note) : note(news.error);
  } catch {
    return note("The device does not answer.");
  }
}

function showResult({ width, height, faces, milliseconds }, note) {
  note(`${faces.length || "No"} ${faces.length === 1 ? "face" : "faces"}, read in ${Math.round(milliseconds)} ms. Not kept.`);
  const scaled = faces.map((face) => ({ ...face, box: face.box.map((pixels, i) => pixels / (i % 2 ? height : width)) }));
  showBoxes($("upload-boxes"), scaled);
  for (const face of faces) {
    const card = newCard(faces.length > 1 ? face.track : 0);
    fillCard(card, face);
    $("upload-faces").append(card.card);
  }
}

$("file").addEventListener("change", () => {
  if ($("file").files.length) classify($("file").files[0]);
  $("file").value = "";
});
for (const kind of ["dragenter", "dragover"]) $("drop").addEventListener(kind, () => $("drop").classList.add("over"));
for (const kind of ["dragleave", "drop"]) $("drop").addEventListener(kind, () => $("drop").classList.remove("over"));

listen();
watch();
setInterval(showState, 250);
setInterval(dropFaces, 250);
setInterval(listenAgain, 3000);
setInterval(() => document.hidden || timeline.draw(), 250);
