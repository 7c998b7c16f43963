// The learning curve as an SVG: a score with its 95 % interval over labels, one mark for each model. Knows models as
// the service describes them and how to draw them; what the facts of a model look like is for the overview to say.

const SVG = "http://www.w3.org/2000/svg";
const EDGE = { top: 26, right: 20, bottom: 46, left: 52 };
const NEAR = 28; // pixels within which a mark is meant
const ROOM = 58; // pixels from one number at the lower edge to the next
const MANY = 40; // more models than this have smaller marks, which else would hide each other

// A state is told by its shape: colours say the same again, for those who see them.
const STAR = "M0-8.5 2.3-2.9 8.3-2.5 3.7 1.4 5.1 7.2 0 4 -5.1 7.2 -3.7 1.4 -8.3-2.5 -2.3-2.9Z";
const DISC = "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z";
const SHAPES = {
  champion: { path: STAR, words: "champion" },
  retired: { path: DISC, words: "retired: a champion before" },
  candidate: { path: DISC, words: "candidate: waits for the gate" },
  refused: { path: "M0-6.5 6.5 0 0 6.5-6.5 0Z", words: "refused by the gate" },
  degenerate: { path: "M-5-5 5 5M-5 5 5-5", words: "degenerate: never serves" },
};

const NAMES = { accuracy: "Accuracy", macro_f1: "Macro F1", calibration_error: "Calibration error" };

// Every metric that some model has with an interval, those that are known by name first.
export function metricsOf(models) {
  const has = ({ metrics }) => Object.keys(metrics).filter((name) => scored({ metrics }, name));
  const found = new Set(models.flatMap(has));
  return [...Object.keys(NAMES).filter((name) => found.delete(name)), ...found];
}

export function nameOf(metric) {
  return NAMES[metric] ?? metric.replaceAll("_", " ");
}

export function scored({ metrics }, metric) {
  const found = metrics[metric];
  return Boolean(found) && [found.mean, found.low, found.high].every(Number.isFinite);
}

export function estimate({ mean, low, high }) {
  return `${mean.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
}

export class Curve {
  #frame; #legend; #told; #observer; #models = []; #metric = ""; #marks = new Map(); #chosen = null; #ring; #whisker;
  #spot = null; #up = null; #width = 0;

  // `told` is called with the model that somebody points at, or at first with the one that the picture is about.
  constructor(frame, legend, told) {
    this.#frame = frame;
    this.#legend = legend;
    this.#told = told;
    this.#observer = new ResizeObserver(() => { if (this.#width !== frame.clientWidth) this.#draw(); });
    this.#observer.observe(frame);
    frame.onpointermove = frame.onpointerdown = (event) => this.#point(event);
    frame.onkeydown = (event) => this.#step(event);
  }

  close() {
    this.#observer.disconnect();
    this.#frame.onpointermove = this.#frame.onpointerdown = this.#frame.onkeydown = null;
    this.#frame.replaceChildren();
  }

  show(models, metric) {
    this.#models = [...models].sort((one, other) => one.labels - other.labels || one.number - other.number);
    this.#metric = metric;
    this.#draw();
  }

  #draw() {
    const [models, metric] = [this.#models, this.#metric];
    this.#width = this.#frame.clientWidth;
    if (!models.length || !this.#width) return;
    const known = models.filter((model) => scored(model, metric));
    const size = { width: this.#width, height: Math.round(Math.max(230, Math.min(360, this.#width * 0.5))) };
    const [across, up] = scales(models, known.map((model) => model.metrics[metric]), size);
    this.#up = up;
    // A model without a score stands on the lower edge, at its number of labels.
    this.#spot = (model) => [across(model.labels), up(scored(model, metric) ? model.metrics[metric].mean : up.low)];
    const focused = this.#frame.contains(document.activeElement);
    const picture = shape("g", { role: "img", "aria-label": described(models, known, metric) });
    picture.append(...grid(across, up, size, nameOf(metric)), ...line(known, metric, across, up));
    this.#whisker = shape("path", { class: "whisker" });
    this.#ring = shape("circle", { class: "ring", r: 12 });
    const marks = shape("g", { role: "group", "aria-label": "Models. Arrow keys step from one to the next." });
    this.#marks = new Map(models.map((model) => [model.number, this.#mark(model)]));
    marks.append(...this.#marks.values());
    const svg = shape("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}` });
    svg.append(picture, this.#whisker, this.#ring, marks, ...crown(known, metric, across, up, size));
    this.#frame.replaceChildren(svg);
    this.#legend.replaceChildren(...legend(models));
    const about = models.find(({ state }) => state === "champion") ?? known.at(-1) ?? models.at(-1);
    this.#choose(models.find(({ number }) => number === this.#chosen) ?? about);
    // Whoever stood on a mark when new numbers came stands on it still.
    if (focused) this.#marks.get(this.#chosen).focus({ preventScroll: true });
  }

  #mark(model) {
    const [x, y] = this.#spot(model);
    const size = this.#models.length > MANY ? " scale(0.7)" : "";
    const mark = shape("g", {
      class: `mark ${model.state}`, role: "img", tabindex: -1, "data-model": model.number,
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})${size}`, "aria-label": spoken(model, this.#metric),
    });
    mark.append(shape("path", { d: (SHAPES[model.state] ?? SHAPES.candidate).path }));
    mark.addEventListener("focus", () => this.#choose(model));
    return mark;
  }

  // One of the marks is a stop of the Tab key, the others are reached from it: a project may have a hundred models.
  #choose(model) {
    this.#marks.get(this.#chosen)?.setAttribute("tabindex", "-1");
    this.#chosen = model.number;
    this.#marks.get(model.number).setAttribute("tabindex", "0");
    const [x, y] = this.#spot(model);
    put(this.#ring, { cx: x, cy: y });
    const found = scored(model, this.#metric) ? model.metrics[this.#metric] : null;
    put(this.#whisker, { d: found ? `M${x} ${this.#up(found.low)}V${this.#up(found.high)}` : "" });
    this.#told(model);
  }

  #point(event) {
    const box = this.#frame.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const far = this.#models.map((model) => Math.hypot(...this.#spot(model).map((at, axis) => at - [x, y][axis])));
    const least = Math.min(...far);
    const model = this.#models[far.indexOf(least)];
    // Whoever went to a mark by keys is not drawn away by a pointer that lies there.
    if (least > NEAR || model.number === this.#chosen || this.#frame.querySelector(":focus-visible")) return;
    this.#choose(model);
  }

  #step(event) {
    const at = this.#models.findIndex(({ number }) => number === this.#chosen);
    const last = this.#models.length - 1;
    const [on, back] = [at + 1, at - 1];
    const next = { ArrowRight: on, ArrowUp: on, ArrowLeft: back, ArrowDown: back, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.#marks.get(this.#models[Math.min(Math.max(next, 0), last)].number).focus({ preventScroll: true });
  }
}

// --- how wide, how high --------------------------------------------------------------------------------------------

// From labels to pixels and from scores to pixels, each with the round numbers along its edge.
function scales(models, found, { width, height }) {
  const labels = models.map((model) => model.labels);
  const [least, most] = [Math.min(...labels), Math.max(...labels)];
  const inner = [width - EDGE.left - EDGE.right, height - EDGE.top - EDGE.bottom];
  // From nothing on, unless that would leave half of the picture empty.
  const across = rounded(least < most / 2 || least === most ? 0 : least, most, Math.floor(inner[0] / ROOM), 1);
  const [low, high] = found.length
    ? [Math.min(...found.map((one) => one.low)), Math.max(...found.map((one) => one.high))]
    : [0, 1];
  const up = rounded(low, high, 5, 0.001);
  return [
    scale(across, (part) => EDGE.left + part * inner[0]),
    scale(up, (part) => EDGE.top + (1 - part) * inner[1]),
  ];
}

function scale(ticks, place) {
  const [low, high] = [ticks[0], ticks.at(-1)];
  return Object.assign((value) => place((value - low) / (high - low)), { low, high, ticks });
}

// Round numbers from below `low` to above `high`: steps of 1, 2 or 5 times a power of ten, about `wanted` of them.
export function rounded(low, high, wanted, least) {
  const rough = Math.max((high - low) / Math.max(wanted, 1), least);
  const power = 10 ** Math.floor(Math.log10(rough) + 1e-9);
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough - 1e-12);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toFixed(places)));
}

// --- what is drawn -------------------------------------------------------------------------------------------------

function grid(across, up, { width, height }, name) {
  const number = new Intl.NumberFormat("en");
  const places = Math.max(...up.ticks.map((tick) => String(tick).split(".")[1]?.length ?? 0));
  const base = height - EDGE.bottom;
  const parts = up.ticks.flatMap((tick) => [
    shape("path", { class: "grid", d: `M${EDGE.left} ${up(tick)}H${width - EDGE.right}` }),
    words(tick.toFixed(places), { x: EDGE.left - 9, y: up(tick) + 4, "text-anchor": "end" }),
  ]);
  for (const tick of across.ticks) {
    parts.push(shape("path", { class: "grid", d: `M${across(tick)} ${base}v5` }));
    parts.push(words(number.format(tick), { x: across(tick), y: base + 19, "text-anchor": "middle" }));
  }
  parts.push(words("labels", { x: width - EDGE.right, y: height - 6, "text-anchor": "end", class: "axis" }));
  parts.push(words(name, { x: 4, y: 12, class: "axis" }));
  return parts;
}

function line(known, metric, across, up) {
  if (known.length < 2) return [];
  const spot = (model, part) => [across(model.labels), up(model.metrics[metric][part])];
  const at = (part) => known.map((model) => spot(model, part).map((pixels) => pixels.toFixed(1)).join(" "));
  return [
    shape("path", { class: "band", d: `M${at("low").join("L")}L${at("high").reverse().join("L")}Z` }),
    shape("path", { class: "mean", d: `M${at("mean").join("L")}` }),
  ];
}

// The word over the champion's interval, inside the picture wherever that stands.
function crown(known, metric, across, up, { width }) {
  const champion = known.find(({ state }) => state === "champion");
  if (!champion) return [];
  const [x, y] = [across(champion.labels), up(champion.metrics[metric].high) - 7];
  const [anchor, aside] = x > width - 50 ? ["end", 14] : ["middle", 0];
  return [words("champion", { x: x + aside, y, "text-anchor": anchor, class: "crown", "aria-hidden": "true" })];
}

function legend(models) {
  const there = Object.keys(SHAPES).filter((state) => models.some((model) => model.state === state));
  return there.map((state) => {
    const entry = document.createElement("span");
    const svg = shape("svg", { width: 20, height: 20, viewBox: "-10 -10 20 20" });
    const mark = shape("g", { class: `mark ${state}` });
    mark.append(shape("path", { d: SHAPES[state].path }));
    svg.append(mark);
    entry.append(svg, SHAPES[state].words);
    return entry;
  });
}

// --- what is said --------------------------------------------------------------------------------------------------

function described(models, known, metric) {
  const name = nameOf(metric);
  if (!known.length) return `${name} over labels: none of ${models.length} models has it.`;
  const [first, last] = [known[0], known.at(-1)];
  const champion = models.find(({ state }) => state === "champion");
  const told = (model) => `${estimate(model.metrics[metric])} at ${model.labels} labels`;
  const course = known.length > 1 ? `from ${told(first)} to ${told(last)}, in ${known.length} models` : told(first);
  const crowned = champion ? ` The champion is model ${champion.number}.` : "";
  return `${name} over labels, with 95 % intervals: ${course}.${crowned}`;
}

function spoken(model, metric) {
  const score = scored(model, metric) ? `${nameOf(metric)} ${estimate(model.metrics[metric])}` : "no score";
  return `Model ${model.number}, ${model.state}: ${model.labels} labels, ${score}. ${model.reason}`;
}

function words(text, attributes) {
  const element = shape("text", attributes);
  element.textContent = text;
  return element;
}

function shape(tag, attributes = {}) {
  return put(document.createElementNS(SVG, tag), attributes);
}

function put(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
