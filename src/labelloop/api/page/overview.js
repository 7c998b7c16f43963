// The overview: how a project stands, for whoever leads it. Asks the service every quarter of a minute while it is open
// and seen; the curve is drawn by chart.js, the tables are filled by tables.js. Names enter the document as text only.

import { Curve, estimate, metricsOf, nameOf, scored } from "./chart.js";
import { make } from "./items.js";
import { fillAnnotators, fillClasses, fillModels, wordsOnAnnotators, wordsOnClasses } from "./tables.js";

const EVERY_MS = 15_000;
const ENGINEERS = ["engineer", "admin"];
const number = new Intl.NumberFormat("en");
const $ = (id) => document.getElementById(id);

export class Overview {
  #api; #base; #me; #curve; #metric = "accuracy"; #rules = { edition: null, file: null }; #drawn = new Map();
  #wait = 0; #asking = false; #closed = false; #last = null;

  constructor(api, project, _view, me) {
    this.#api = api;
    this.#base = `/v1/projects/${encodeURIComponent(project)}`;
    this.#me = me;
    this.#curve = new Curve($("plot"), $("curve-legend"), (model) => this.#tell(model));
    $("overview-body").hidden = true; // what is left there is of another project, or old
    this.#say("Fetching…");
  }

  open() {
    document.addEventListener("visibilitychange", this.#seen);
    $("metric").onchange = () => { this.#metric = $("metric").value; this.#score(this.#last.models); };
    return this.#refresh();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#wait);
    document.removeEventListener("visibilitychange", this.#seen);
    $("metric").onchange = null;
    this.#curve.close();
  }

  // Nobody looks at a hidden page, so it asks nothing, and at once when it is seen again.
  #seen = () => {
    clearTimeout(this.#wait);
    if (!document.hidden) this.#refresh();
  };

  async #refresh() {
    if (this.#asking || this.#closed) return;
    this.#asking = true;
    try {
      const parts = ["", "/curve", "/classes", "/annotators"].map((part) => this.#api.get(`${this.#base}${part}`));
      const [status, curve, classes, people] = await Promise.all(parts);
      const rules = await this.#read(status, curve.points);
      if (this.#closed) return;
      this.#take({ status, models: curve.points, classes, people, rules });
      $("overview-at").textContent = `As of ${new Date().toLocaleTimeString("en-GB")}.`;
      this.#say("");
    } catch (problem) {
      if (problem.status === undefined) throw problem;
      if (!this.#closed) this.#say(problem.status === 0 ? "No connection. Trying again…" : problem.message);
    } finally {
      this.#asking = false;
      if (!this.#closed && !document.hidden) this.#wait = setTimeout(() => this.#refresh(), EVERY_MS);
    }
  }

  #say(words) {
    if ($("overview-trouble").textContent !== words) $("overview-trouble").textContent = words;
  }

  // The rules of the project's file, which tell what is missing before there is a curve. Engineers may read them.
  async #read({ edition }, models) {
    if (!ENGINEERS.includes(this.#me.role) || metricsOf(models).length) return null;
    if (this.#rules.edition !== edition) {
      this.#rules = { edition, file: await this.#api.get(`${this.#base}/file?edition=${edition}`) };
    }
    return this.#rules.file;
  }

  #take(found) {
    this.#last = found;
    $("overview-body").hidden = false; // before the curve, which is as wide as its place
    const { status, models, classes, people, rules } = found;
    this.#anew("tiles", status, () => $("tiles").replaceChildren(...tiles(status)));
    $("facts").replaceChildren(...facts(status)); // has ages in it
    this.#anew("curve", { models, missing: missing(found), rules }, () => this.#score(models));
    this.#anew("classes", classes, () => {
      $("by-class-note").textContent = wordsOnClasses(classes);
      $("by-class-rows").hidden = !classes.classes.length;
      still($("by-class-rows"), () => fillClasses($("by-class"), classes));
    });
    this.#anew("people", people, () => {
      $("people-note").textContent = wordsOnAnnotators(people);
      $("people-rows").hidden = !people.annotators.length;
      still($("people-rows"), () => fillAnnotators($("people"), people));
    });
  }

  // Only what has changed is drawn again: a selection, a scroll position or a focus in the rest stays.
  #anew(part, data, draw) {
    const text = JSON.stringify(data);
    if (this.#drawn.get(part) === text) return;
    draw();
    this.#drawn.set(part, text);
  }

  #score(models) {
    const metrics = metricsOf(models);
    $("curve").hidden = !metrics.length;
    $("curve-missing").hidden = Boolean(metrics.length);
    $("curve-missing").textContent = metrics.length ? "" : missing(this.#last);
    $("metric-pick").hidden = metrics.length < 2;
    $("models-table").hidden = !models.length;
    if (!metrics.includes(this.#metric) && metrics.length) [this.#metric] = metrics;
    const options = metrics.map((metric) => Object.assign(make("option", "", nameOf(metric)), { value: metric }));
    const before = [...$("metric").options].map(({ value }) => value);
    if (before.join() !== metrics.join()) $("metric").replaceChildren(...options);
    $("metric").value = this.#metric;
    still($("models").parentElement, () => fillModels($("models"), models, this.#metric));
    if (!metrics.length) return;
    $("curve-note").textContent = measured(models, this.#metric);
    this.#curve.show(models, this.#metric);
  }

  #tell(model) {
    const items = model.metrics.audit_items;
    const rows = [
      ["model", String(model.number)],
      ["labels", number.format(model.labels)],
      [spoken(this.#metric), scored(model, this.#metric) ? estimate(model.metrics[this.#metric]) : "no score"],
      ["audit items", items === undefined ? "–" : number.format(items)],
      ["state", model.state],
      ["reason", model.reason],
    ];
    $("readout").replaceChildren(...rows.map(([name, value]) => row(name, value, name === "reason" ? name : "")));
  }
}

// --- in figures ----------------------------------------------------------------------------------------------------

function tiles({ items: { counts }, budget }) {
  const limited = budget.votes !== null;
  const found = [
    tile("items labeled", counts.resolved, { whole: counts.ingested }),
    tile("votes", budget.spent, limited ? { whole: budget.votes } : { below: "no budget is set" }),
    tile("waiting", counts.pooled + counts.queued, { below: `${number.format(counts.queued)} in the round` }),
    tile("out on leases", counts.leased, { below: "being answered" }),
    tile("disputed", counts.disputed, { below: counts.disputed ? "a reviewer decides" : "nothing to decide" }),
  ];
  if (counts.retired) found.push(tile("retired", counts.retired, { below: "nobody is asked" }));
  return found;
}

// A count with a bar, where it is part of a whole, or with a few words below.
function tile(name, count, { whole = null, below = "" }) {
  const found = make("div", "card");
  const value = make("dd");
  value.append(make("span", "number", number.format(count)));
  if (whole === null) value.append(make("span", "hint below", below));
  else {
    const bar = make("progress");
    bar.max = Math.max(whole, 1);
    bar.value = Math.min(count, whole);
    bar.setAttribute("aria-label", name);
    value.append(" ", make("span", "hint", `of ${number.format(whole)}`), bar);
  }
  found.append(make("dt", "hint", name), value);
  return found;
}

function row(name, value, style = "") {
  const found = make("div", style);
  found.append(make("dt", "", name), make("dd", "", value));
  return found;
}

// --- in words ------------------------------------------------------------------------------------------------------

function facts({ champion, rounds, trainings, plans, stability, requirements, lanes, state, budget }) {
  const [serving] = rounds;
  const found = [];
  if (state !== "active") found.push(row("Project", `It is ${state}: no work is handed out.`, "warn"));
  const spent = budget.votes !== null && budget.spent >= budget.votes;
  if (spent) found.push(row("Budget", "It is spent: the work has ended.", "warn"));
  found.push(row("Champion", champion ? crowned(champion) : "None yet."));
  const training = trainings.find((job) => job.state === "due" || job.state === "running");
  if (training) found.push(row("Training", underWay(training)));
  found.push(row("Serving round", serving ? ranked(serving) : "None yet."));
  if (serving) found.push(row("Queue", queue(lanes)));
  found.push(row("Stability", stable(stability)));
  if (serving?.stats.fallback) found.push(row("Strategy failed", `In its place: ${serving.stats.fallback}`, "warn"));
  for (const [jobs, name] of [[trainings, "Last failed training"], [plans, "Last failed plan"]]) {
    const at = jobs.findIndex((job) => job.state === "failed");
    if (at >= 0) found.push(failed(name, jobs[at], jobs.slice(0, at).some((job) => job.state === "done")));
  }
  for (const { requires, uncovered } of requirements) {
    if (!uncovered) continue;
    const wait = `${count(uncovered, "item")} ${uncovered === 1 ? "waits" : "wait"}`;
    const skills = requires.join(" + ");
    found.push(row("Nobody covers", `${wait} for an annotator with ${skills}, and no key carries that.`, "warn"));
  }
  return found;
}

function crowned({ number: which, metrics, labels }) {
  const [metric] = metricsOf([{ metrics }]);
  const told = metric
    ? `${spoken(metric)} ${estimate(metrics[metric])} on ${count(metrics.audit_items, "audit item")}`
    : "not measured, for no item of the audit had a label";
  return `Model ${which}, of ${count(labels, "label")}: ${told}.`;
}

function underWay({ state, message, progress, reason }) {
  if (state === "due") return `Waits for a trainer: ${reason}.`;
  return `Under way: ${message || reason} (${Math.round(100 * progress)} %).`;
}

function ranked({ number: which, strategy, model, created_at: since }) {
  const ranking = model === null ? "without a model" : `ranked by model ${model}`;
  return `Round ${which} by ${strategy}, ${ranking}, planned ${ago(since)}.`;
}

function queue(lanes) {
  return Object.entries(lanes).map(([lane, depth]) => `${lane} ${number.format(depth)}`).join(", ") || "Empty.";
}

function stable(stability) {
  if (!stability) return "Not known: it takes two models and a hundred waiting items.";
  const { model, since, changed, kappa, rows, stabilised } = stability;
  const told = `Model ${model} puts ${(100 * changed).toFixed(1)} of 100 waiting items into another class than model `
    + `${since} did (kappa ${kappa.toFixed(2)}, ${count(rows, "item")} drawn by lot).`;
  const little = " It has hardly changed over three trainings, so more labels may bring little: look at the curve.";
  return stabilised ? told + little : told;
}

function failed(name, { problem, finished_at: at, created_at: asked }, over) {
  const why = problem?.detail ?? "No reason is known.";
  return row(name, `${ago(at ?? asked)}: ${why}${over ? " A later one went well." : ""}`, over ? "" : "warn");
}

function measured(models, metric) {
  const items = models.filter((model) => scored(model, metric)).map(({ metrics }) => metrics.audit_items);
  const [least, most] = [Math.min(...items), Math.max(...items)];
  const all = count(most, "audit item");
  const range = least === most ? all : `${number.format(least)} to ${all}`;
  const way = metric === "calibration_error" ? " Less is better." : "";
  return `Band: 95 % interval. Measured on ${range}, drawn by lot and never trained on.${way}`;
}

// Why there is no curve yet, and what brings one.
function missing({ status, models, classes, rules }) {
  if (!status.labels.classes.length) return "The labels of this project are no plain classes, so no model is trained.";
  const labels = status.items.counts.resolved;
  if (!models.length) {
    if (status.trainings[0]?.state === "running") return "The first model is being trained.";
    const first = rules ? `${count(rules.retrain.first, "label")}` : "as many labels as its project file says";
    const there = `${number.format(labels)} ${labels === 1 ? "is" : "are"} there`;
    return `There is no model yet: the first training is due at ${first}, and ${there}.`;
  }
  const none = `${count(models.length, "model")}, and no score yet.`;
  const how = `${none} Models are measured on items of the audit lane`;
  if (models.every(({ state }) => state === "degenerate")) return `${none} What is degenerate is not measured.`;
  if (rules && !rules.lanes.audit) return `${how}, and this project has none: lanes.audit is 0.`;
  const enough = rules ? ` From ${number.format(rules.promote.minimum_audit)} on the gate can refuse a worse one.` : "";
  if (!classes.audit) return `${how}, and none of these has a label.${enough}`;
  const there = `${number.format(classes.audit)} of these ${classes.audit === 1 ? "has a label" : "have labels"}`;
  return `${how}; ${there} by now, and the next model is measured on what is there then.${enough}`;
}

// A metric in the middle of a sentence.
function spoken(metric) {
  const name = nameOf(metric);
  return name[0].toLowerCase() + name.slice(1);
}

function count(many, what) {
  return `${number.format(many)} ${what}${many === 1 ? "" : "s"}`;
}

function ago(when) {
  const seconds = Math.max(0, (Date.now() - Date.parse(when)) / 1000);
  const units = [["days", 86_400], ["hours", 3600], ["minutes", 60]];
  const [unit, size] = units.find(([, one]) => seconds >= one * 1.5) ?? ["", 0];
  return unit ? `${Math.round(seconds / size)} ${unit} ago` : "just now";
}

// Rows are changed under a scroll position, which stays.
function still(frame, change) {
  const { scrollTop, scrollLeft } = frame;
  change();
  Object.assign(frame, { scrollTop, scrollLeft });
}
