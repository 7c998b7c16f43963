// The map of the pool: points on a canvas, coloured by class, doubt, score or lane. Item data enter the document as text,
// pixels or blob URLs only, by items.js; names of classes as text.

import { Pictures, make, show } from "./items.js";

const CLASSES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#9C6B3C", "#A3B18A", "#5C7F8A"];
const LANES = { informative: "#0072B2", minority: "#D55E00", audit: "#009E73", gold: "#E69F00", relabel: "#CC79A7", review: "#8C6BB1" };
const DOUBT = [[0xf2, 0xc1, 0x4e], [0xd1, 0x49, 0x5b], [0x8f, 0x1f, 0x5c]];
const POLL_MS = 1000;
const NEAR = 14; // pixels within which a point is meant
const $ = (id) => document.getElementById(id);

export class PoolMap {
  #api; #base; #view; #pictures; #drawn = null; #plane = null; #by = "class"; #layout = "tsne";
  #zoom = { scale: 1, x: 0, y: 0 }; #at = -1; #only = null; #items = new Map(); #wait = 0; #closed = false; #observer;

  constructor(api, project, view) {
    this.#api = api;
    this.#base = `/v1/projects/${encodeURIComponent(project)}`;
    this.#view = view;
    this.#pictures = new Pictures(api, project);
    this.#observer = new ResizeObserver(() => this.#paint());
  }

  async open() {
    this.#observer.observe($("plane"));
    this.#listen();
    this.#tell(-1);
    try {
      this.#take(await this.#api.get(`${this.#base}/map`));
      if (this.#drawn.stale) await this.again();
    } catch (problem) {
      if (problem.status === 404) await this.again();
      else this.#note(problem.message);
    }
  }

  close() {
    this.#closed = true;
    this.#observer.disconnect();
    clearTimeout(this.#wait);
    this.#pictures.keep([]);
  }

  // Ask for a map of the pool as it is now, and show it when it is there; the old one stays until then.
  async again() {
    $("map-again").disabled = true;
    try {
      const { job } = await this.#api.post(`${this.#base}/map`);
      await this.#finished(job);
      if (!this.#closed) this.#take(await this.#api.get(`${this.#base}/map`));
    } catch (problem) {
      if (!this.#closed) this.#note(problem.message);
    } finally {
      $("map-again").disabled = false;
    }
  }

  async #finished(job) {
    while (!this.#closed) {
      const { state, progress, message, problem } = await this.#api.get(`/v1/jobs/${encodeURIComponent(job)}`);
      if (state === "done") return;
      if (state === "failed") throw new Error(problem?.detail ?? "The map could not be drawn.");
      this.#note(state === "due" ? "Drawing: waiting for a worker…" : `Drawing: ${message} (${Math.round(100 * progress)} %)…`);
      await new Promise((resolve) => { this.#wait = setTimeout(resolve, POLL_MS); });
    }
  }

  #take(drawn) {
    this.#drawn = drawn;
    this.#only = null;
    const { points, items, labeled, shown, model } = drawn;
    const number = new Intl.NumberFormat("en");
    const who = model === null ? "no model yet" : `model ${model}`;
    this.#note(
      `${number.format(points.item.length)} of ${number.format(items)} items, ${number.format(shown.labeled)} of `
      + `${number.format(labeled)} labels, ${who}${drawn.stale ? "; new labels or a new model have come since" : ""}`,
    );
    this.#order = null;
    this.#rank = ranks(points.score);
    this.#legend();
    this.#tell(-1);
    this.#paint();
  }

  #note(words) {
    $("map-note").textContent = words;
  }

  // --- what a colour means ------------------------------------------------------------------------------------------

  // The group of a point under the present colouring, -1 for none: a class, a lane, or nothing for doubt.
  #group(place) {
    const { label, guess, asked } = this.#drawn.points;
    if (this.#by === "class") return label[place] >= 0 ? label[place] : guess[place];
    return this.#by === "asked" ? (asked[place] >= 0 ? asked[place] : this.#drawn.points.planned[place]) : -1;
  }

  // Doubt and score are shades, from 0 to 1; scores by their rank, because each strategy has a scale of its own.
  get #shaded() {
    return this.#by === "doubt" || this.#by === "score";
  }

  #shade(place) {
    return this.#by === "doubt" ? this.#drawn.points.doubt[place] : this.#rank[place];
  }

  #rank = [];
  #groups() {
    if (this.#shaded) return [];
    const counts = new Map();
    this.#drawn.points.item.forEach((_, place) => {
      const group = this.#group(place);
      if (group >= 0) counts.set(group, (counts.get(group) ?? 0) + 1);
    });
    const largest = [...counts].sort((one, other) => other[1] - one[1]).slice(0, CLASSES.length).map(([group]) => group);
    return largest.sort((one, other) => one - other);
  }

  #colour(group, groups) {
    if (group < 0) return null;
    if (this.#by === "asked") return LANES[this.#drawn.lanes[group]] ?? "#777";
    const place = groups.indexOf(group);
    return place < 0 ? null : CLASSES[place];
  }

  #legend() {
    const groups = this.#groups();
    const names = this.#by === "asked" ? this.#drawn.lanes : this.#drawn.classes;
    const entries = groups.map((group) => {
      const button = make("button", "", names[group]);
      button.type = "button";
      button.setAttribute("aria-pressed", String(this.#only === group));
      const dot = make("i");
      dot.style.background = this.#colour(group, groups);
      button.prepend(dot);
      button.addEventListener("click", () => {
        this.#only = this.#only === group ? null : group;
        this.#legend();
        this.#paint();
      });
      return button;
    });
    if (this.#shaded) {
      const [low, high] = this.#by === "doubt" ? ["sure", "a toss-up"] : ["asked last", "asked first"];
      entries.push(make("span", "hint", low), make("i", "ramp"), make("span", "hint", high));
    }
    if (this.#by === "asked") entries.push(make("span", "hint", "filled: asked · ring: comes next"));
    if (this.#by === "class") entries.push(make("span", "hint", "ringed: labeled · pale: the model’s guess"));
    $("legend").replaceChildren(...entries);
  }

  // --- drawing ------------------------------------------------------------------------------------------------------

  // Where a point is on the canvas, in CSS pixels.
  #spot(place) {
    const { x, y } = this.#drawn.layouts[this.#layout];
    const half = this.#side / 2;
    return [
      half + (x[place] * 0.94 * half - this.#zoom.x) * this.#zoom.scale,
      half + (-y[place] * 0.94 * half - this.#zoom.y) * this.#zoom.scale,
    ];
  }

  #side = 0;
  #paint() {
    const canvas = $("plane");
    const sharp = window.devicePixelRatio || 1;
    this.#side = canvas.clientWidth;
    if (!this.#side || !this.#drawn) return;
    canvas.width = canvas.height = Math.round(this.#side * sharp);
    const pen = canvas.getContext("2d");
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    const style = getComputedStyle(canvas);
    // In the dark the sure ones are dark: what is seen first is doubt.
    const ramp = doubtful(style.getPropertyValue("--sure").trim());
    const [ground, ink, paper] = ["--dot", "--ink", "--paper"].map((name) => style.getPropertyValue(name).trim());
    const groups = this.#groups();
    const { item, label, asked, planned } = this.#drawn.points;
    const size = Math.max(1.7, Math.min(4, 130 / Math.sqrt(item.length))) * Math.sqrt(this.#zoom.scale);
    const order = item.map((_, place) => place);
    // What the picture is about comes on top.
    const weight = (place) => (this.#shaded ? this.#shade(place) ?? 0 : (label[place] >= 0 ? 2 : 0) + (planned[place] >= 0 ? 1 : 0));
    order.sort((one, other) => weight(one) - weight(other));
    for (const place of order) {
      const [x, y] = this.#spot(place);
      if (x < -9 || y < -9 || x > this.#side + 9 || y > this.#side + 9) continue;
      const group = this.#group(place);
      const out = this.#only !== null && group !== this.#only;
      const known = this.#by === "asked" ? asked[place] >= 0 : label[place] >= 0;
      const colour = this.#shaded ? ramp(this.#shade(place)) : this.#colour(group, groups);
      pen.beginPath();
      pen.arc(x, y, size * (known && !this.#shaded ? 1.35 : 1), 0, 7);
      pen.globalAlpha = out ? 0.08 : this.#by === "class" && !known ? 0.5 : 1;
      pen.fillStyle = pen.strokeStyle = colour ?? ground;
      if (this.#by === "asked" && !known && colour) {
        pen.lineWidth = 1.2;
        pen.stroke();
      } else {
        pen.fill();
        if (known && colour && !this.#shaded) {
          pen.strokeStyle = paper;
          pen.lineWidth = 1;
          pen.stroke();
        }
      }
    }
    pen.globalAlpha = 1;
    if (this.#by === "class" && groups.length > 2) for (const group of groups) this.#name(pen, group, ink, paper);
    if (this.#at >= 0) {
      const [x, y] = this.#spot(this.#at);
      pen.beginPath();
      pen.arc(x, y, size + 5, 0, 7);
      pen.strokeStyle = ink;
      pen.lineWidth = 2;
      pen.stroke();
    }
  }

  // The name of a class in the middle of its points.
  #name(pen, group, ink, paper) {
    const spots = this.#drawn.points.item.map((_, place) => place).filter((place) => this.#group(place) === group).map((place) => this.#spot(place));
    const [x, y] = [0, 1].map((axis) => spots.map((spot) => spot[axis]).sort((one, other) => one - other)[spots.length >> 1]);
    const name = this.#drawn.classes[group];
    const words = name.length > 20 ? `${name.slice(0, 19)}…` : name;
    pen.font = "700 16px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.globalAlpha = this.#only !== null && this.#only !== group ? 0.15 : 0.9;
    pen.strokeStyle = paper;
    pen.strokeText(words, x, y);
    pen.fillStyle = ink;
    pen.fillText(words, x, y);
    pen.globalAlpha = 1;
  }

  // --- pointing -----------------------------------------------------------------------------------------------------

  #listen() {
    const canvas = $("plane");
    const where = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    let held = null;
    canvas.onpointerdown = (event) => { held = where(event); canvas.setPointerCapture(event.pointerId); };
    canvas.onpointerup = () => { held = null; };
    canvas.onpointermove = (event) => {
      const [x, y] = where(event);
      if (held) {
        this.#zoom.x -= (x - held[0]) / this.#zoom.scale;
        this.#zoom.y -= (y - held[1]) / this.#zoom.scale;
        held = [x, y];
        this.#paint();
      } else this.#tell(this.#nearest(x, y));
    };
    canvas.onwheel = (event) => {
      event.preventDefault();
      const [x, y] = where(event);
      const scale = Math.min(24, Math.max(1, this.#zoom.scale * Math.exp(-event.deltaY / 400)));
      const half = this.#side / 2;
      for (const [axis, at] of [["x", x], ["y", y]]) {
        this.#zoom[axis] += (at - half) * (1 / this.#zoom.scale - 1 / scale);
      }
      this.#zoom.scale = scale;
      if (scale === 1) this.#zoom = { scale: 1, x: 0, y: 0 };
      this.#paint();
    };
    canvas.ondblclick = () => { this.#zoom = { scale: 1, x: 0, y: 0 }; this.#paint(); };
    canvas.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step || !this.#drawn) return;
      event.preventDefault();
      this.#step(step);
    };
    for (const radio of document.getElementsByName("map-by")) {
      radio.onchange = () => { this.#by = radio.value; this.#only = null; if (this.#drawn) { this.#legend(); this.#paint(); } };
      radio.checked = radio.value === this.#by;
    }
    $("map-layout").value = this.#layout;
    $("map-layout").onchange = () => { this.#layout = $("map-layout").value; this.#paint(); };
    $("map-again").onclick = () => this.again();
  }

  #nearest(x, y) {
    if (!this.#drawn) return -1;
    let best = -1;
    let least = NEAR * NEAR;
    for (let place = 0; place < this.#drawn.points.item.length; place += 1) {
      const [px, py] = this.#spot(place);
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [place, far];
    }
    return best;
  }

  // By keys, from the most doubtful to the least.
  #order = null;
  #step(by) {
    const { item, doubt } = this.#drawn.points;
    this.#order ??= item.map((_, place) => place).sort((one, other) => (doubt[other] ?? 0) - (doubt[one] ?? 0));
    const next = this.#order.indexOf(this.#at) + by;
    this.#tell(this.#order[Math.min(Math.max(next, 0), this.#order.length - 1)]);
  }

  #tell(place) {
    if (place === this.#at && place >= 0) return;
    this.#at = place;
    clearTimeout(this.#wait2);
    if (place < 0) {
      $("point").replaceChildren(make("p", "hint", "Point at an item to see it. Wheel to enlarge, drag to move, arrow keys by doubt."));
    } else {
      const number = this.#drawn.points.item[place];
      const body = make("div", "item");
      body.append(make("p", "hint", "…"));
      $("point").replaceChildren(this.#facts(place), body);
      this.#wait2 = setTimeout(() => this.#show(number, body), 120);
    }
    this.#paint();
  }

  #wait2 = 0;
  #facts(place) {
    const { classes, lanes, points } = this.#drawn;
    const list = make("dl");
    const fact = (name, value) => {
      const row = make("div");
      row.append(make("dt", "", name), make("dd", "", value));
      list.append(row);
    };
    fact("item", String(points.item[place]));
    if (points.label[place] >= 0) fact("label", classes[points.label[place]]);
    if (points.guess[place] >= 0) fact("model’s guess", classes[points.guess[place]]);
    if (points.doubt[place] !== null) fact("doubt", points.doubt[place].toFixed(2));
    if (points.score[place] !== null) fact("score", String(Number(points.score[place].toPrecision(3))));
    if (points.asked[place] >= 0) fact("asked by", lanes[points.asked[place]]);
    else if (points.planned[place] >= 0) fact("comes next in", lanes[points.planned[place]]);
    return list;
  }

  async #show(number, body) {
    try {
      if (!this.#items.has(number)) this.#items.set(number, await this.#api.get(`${this.#base}/items/${number}`));
      const found = this.#items.get(number);
      if (!this.#closed) body.replaceChildren(show({ ...found, lease: `map-${number}` }, this.#view.items, this.#pictures));
    } catch (problem) {
      body.replaceChildren(make("p", "trouble", problem.message));
    }
  }
}

// Places of numbers among each other, from 0 to 1; null stays null.
function ranks(values) {
  const order = values.map((_, place) => place).filter((place) => values[place] !== null).sort((one, other) => values[one] - values[other]);
  const found = values.map(() => null);
  order.forEach((place, at) => { found[place] = order.length > 1 ? at / (order.length - 1) : 1; });
  return found;
}

// From doubt, 0 … 1, to a colour; what is sure has the colour given as #rrggbb.
function doubtful(sure) {
  const stops = [[1, 3, 5].map((at) => parseInt(sure.slice(at, at + 2), 16)), ...DOUBT];
  return (doubt) => {
    if (doubt === null) return null;
    const at = Math.min(0.9999, Math.max(0, doubt)) * (stops.length - 1);
    const [low, high] = [stops[Math.floor(at)], stops[Math.floor(at) + 1]];
    return `rgb(${low.map((value, place) => Math.round(value + (high[place] - value) * (at % 1))).join(" ")})`;
  };
}
