// The page: sign in, choose a project, label, look at map or overview. Puts together what the other modules know.

import { Api } from "./api.js";
import { Desk } from "./desk.js";
import { Pictures, make, prefetch, show } from "./items.js";
import { Classes } from "./classes.js";
import { Instructions } from "./instructions.js";
import { Overview } from "./overview.js";
import { PoolMap } from "./map.js";
import { why } from "./review.js";

const KEY = "labelloop.key"; // in sessionStorage: this tab only, gone when it is closed
const STATUS_MS = 15_000;
const $ = (id) => document.getElementById(id);

let api = null;
let me = null;
let desk = null;
let view = null; // the project as the service describes it
let pictures = null;
let mine = 0;
let beaten = 0; // answers of this visit whose items had one under this name already
let shown = null; // the lease on screen
let watch = { since: 0, seconds: 0 };
let ticker = 0;

const classes = new Classes($("classes"), $("search"), $("find"), answer);
const instructions = new Instructions($("instructions"));

// --- signing in and choosing -----------------------------------------------------------------------------------

function screen(name) {
  for (const id of ["sign-in", "choose", "desk", ...Object.keys(BESIDE)]) $(id).hidden = id !== name;
  if (beside && beside.name !== name) closeBeside();
  const inside = name === "desk" || name in BESIDE;
  for (const [id, { words, roles }] of Object.entries(BESIDE)) {
    const button = $(`${id}-open`);
    button.hidden = !inside || !roles.includes(me?.role);
    button.setAttribute("aria-pressed", String(name === id));
    button.textContent = name === id ? "Back to labeling" : words;
  }
  $("title").hidden = !inside || $("projects").options.length > 1;
  $("who").hidden = $("sign-out").hidden = name === "sign-in";
}

function askForKey(why = "") {
  sessionStorage.removeItem(KEY);
  stop();
  $("pick").hidden = true;
  $("banner").hidden = true;
  $("key").value = "";
  $("key-error").textContent = why;
  $("key-error").hidden = !why;
  screen("sign-in");
  $("key").focus();
}

async function signIn(key) {
  api = new Api(key);
  try {
    me = await api.get("/v1/whoami");
    sessionStorage.setItem(KEY, key);
    $("who").textContent = me.subject;
    await choose();
  } catch (problem) {
    if (problem.status === 401) return askForKey("Nobody knows this key. Check it, or ask for a new one.");
    if (problem.status === undefined) throw problem;
    askForKey(problem.message);
    sessionStorage.setItem(KEY, key); // the service is away, not the key wrong: a reload tries again
  }
  return undefined;
}

async function choose() {
  const { projects } = await api.get("/v1/projects");
  const options = projects.map(({ project, title }) => {
    // There is little room in the bar: the name comes first, and only where the title alone would not do.
    const shared = projects.filter((other) => other.title === title).length > 1;
    const option = make("option", "", shared && title !== project ? `${project} (${title})` : title);
    option.value = project;
    return option;
  });
  $("projects").replaceChildren(...options);
  $("pick").hidden = projects.length < 2;
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (projects.some(({ project }) => project === wanted)) return start(wanted);
  if (projects.length === 1) return start(projects[0].project);
  $("pick").hidden = true;
  $("choices").replaceChildren(...projects.map(choice));
  if (!projects.length) $("choices").append(make("li", "hint", "There is no project for your key yet."));
  return screen("choose");
}

function choice({ project, title, state }) {
  const button = make("button", "", title);
  button.type = "button";
  // Copied project files keep their title: only the name tells them apart.
  button.append(make("span", "hint", [title === project ? "" : project, state === "active" ? "" : state].filter(Boolean).join(" · ")));
  button.addEventListener("click", () => start(project));
  const entry = make("li");
  entry.append(button);
  return entry;
}

// --- the screens beside the desk, one at a time: not for annotators, whom they would lead ------------------------

const BESIDE = {
  overview: { words: "Overview", roles: ["reviewer", "engineer", "admin"], Screen: Overview },
  map: { words: "Map", roles: ["engineer", "admin"], Screen: PoolMap },
};

let beside = null; // which one is open, and what it is made of
function closeBeside() {
  beside?.screen.close();
  beside = null;
}

function toggle(name) {
  if (beside?.name === name) return screen("desk");
  closeBeside();
  beside = { name, screen: new BESIDE[name].Screen(api, view.name, view, me) };
  screen(name);
  return beside.screen.open();
}

// --- labeling ------------------------------------------------------------------------------------------------------

async function start(project) {
  stop();
  rest("Fetching items…", "", false); // nothing of another project stays on screen
  $("banner").hidden = true;
  try {
    view = await api.get(`/v1/projects/${encodeURIComponent(project)}`);
  } catch (problem) {
    if (problem.status === 401) return askForKey("Your key is no longer known.");
    return askForKey(problem.message);
  }
  history.replaceState(null, "", `#${encodeURIComponent(project)}`);
  $("projects").value = project;
  $("pick").hidden = $("projects").options.length < 2;
  dress();
  $("last").textContent = "";
  mine = beaten = 0;
  shown = null;
  screen("desk");
  if (view.labels.kind !== "classes") {
    return rest("This project needs an editor", "Only projects of plain classes can be labeled on this page.", false);
  }
  pictures = new Pictures(api, project);
  desk = new Desk({
    api, project, subject: me.subject,
    on: { changed: render, sent, signedOut: () => askForKey("You were signed out. Your answers are kept; sign in to send them.") },
  });
  ticker = setInterval(tick, 1000);
  refresh(project);
  return desk.open();
}

// What the project's file says of the page: its name, what people read, and what they choose from.
function dress() {
  document.title = `${view.title} · labelloop`;
  $("title").textContent = view.title;
  instructions.set(view.labels.instructions, view.name, me.subject);
  classes.set(view.labels.kind === "classes" ? view.labels.classes : []);
}

function stop() {
  clearInterval(ticker);
  desk?.close();
  desk = null;
  pictures?.keep([]);
  pictures = null;
}

function answer(label) {
  if (!desk?.current) return;
  told(`Answered: ${label}`);
  classes.flash(label);
  instructions.answered();
  desk.answer(label, Math.round(seconds() * 10) / 10);
}

function skip() {
  if (!desk?.current) return;
  told("Skipped");
  desk.skip();
}

function undo() {
  if (desk?.undo()) told("Taken back");
}

function told(what) {
  $("last").textContent = what;
  $("said").textContent = what;
}

function sent(entry, outcome) {
  if (outcome.outcome === "rejected") notice(`${entry.skip ? "A skip" : "An answer"} was not taken: ${outcome.reason}.`);
  else if (!entry.skip && outcome.outcome === "duplicate") tooLate(entry);
  else if (!entry.skip) {
    mine += 1;
    spend(outcome);
  }
  render();
}

// Another tab, or another person with this key, answered the item first. By now another item is on screen, so the
// notice names the answer. The counter loses it, and asks the service, which knows what was answered elsewhere.
function tooLate({ label }) {
  beaten += 1;
  const [which, items, stand] = beaten === 1
    ? [`Your answer “${label}” was not taken`, "its item was", "the first answer stands"]
    : [`${beaten} of your answers were not taken, “${label}” the last`, "their items were", "the first answers stand"];
  notice(`${which}: ${items} answered already under your name, in another tab perhaps; ${stand}.`);
  if (!desk) return;
  if (!desk.held && !desk.unsent) $("last").textContent = ""; // it says “Answered” of this very one
  refresh(view.name);
}

function render() {
  if (!desk) return;
  const lease = desk.current;
  $("item").hidden = !lease;
  $("answers").hidden = !lease;
  $("skip").disabled = !lease;
  $("undo").disabled = !desk.held;
  if (lease && lease !== shown) present(lease);
  if (!lease) {
    shown = null;
    idle();
  } else {
    $("waiting").hidden = true;
  }
  // The held answer counts as given: what a person did should show at once.
  $("mine-count").textContent = String(mine + desk.outbox.entries.filter((one) => !one.skip).length + (desk.held?.label ? 1 : 0));
  $("unsent").hidden = !desk.unsent;
  $("unsent").textContent = `${desk.unsent} to send`;
  if (desk.offline) {
    const kept = desk.unsent === 1 ? "1 answer is kept" : `${desk.unsent} answers are kept`;
    notice(desk.unsent ? `No connection. ${kept} here and sent as soon as it is back.` : "No connection. Trying again…", true);
  } else if ($("banner").dataset.offline) {
    $("banner").hidden = true;
  }
  pictures.keep([...desk.queue, ...(desk.held ? [desk.held.lease] : [])]);
  const ahead = desk.queue.slice(1, 4);
  prefetch(ahead, view.items, pictures);
  for (const next of ahead) if (next.lane === "review") why(api, view.name, next);
}

function present(lease) {
  shown = lease;
  watch = { since: document.hidden ? 0 : performance.now(), seconds: 0 };
  const parts = [show(lease, view.items, pictures)];
  if (lease.lane === "review") parts.push(reviewNote(lease));
  $("item").replaceChildren(...parts);
  $("item").scrollTop = 0;
  if (document.activeElement === document.body) $("item").focus({ preventScroll: true });
  classes.suggest(lease.prediction);
}

function reviewNote(lease) {
  const note = make("p", "note", "Your answer decides.");
  why(api, view.name, lease).then((words) => { note.textContent = `${words} Your answer decides.`; });
  return note;
}

function idle() {
  if (!desk.waiting) {
    rest(desk.offline ? "No connection" : "Fetching items…", "", false);
  } else if (desk.waiting.until === null) {
    rest("Nothing to do", `${sentence(desk.waiting.reason)} Thank you for your work.`);
  } else {
    const left = Math.max(0, Math.ceil((desk.waiting.until - Date.now()) / 1000));
    rest("Nothing to do right now", `${sentence(desk.waiting.reason)} Looking again ${left ? `in ${left} s` : "now"}.`);
  }
}

function rest(title, words, again = true) {
  $("item").hidden = $("answers").hidden = true;
  $("skip").disabled = true;
  $("waiting").hidden = false;
  $("waiting-title").textContent = title;
  $("waiting-text").textContent = words;
  $("look-again").hidden = !again;
}

function notice(words, offline = false) {
  $("banner").textContent = words;
  $("banner").hidden = false;
  $("banner").dataset.offline = offline ? "1" : "";
  if (offline) return; // goes by itself
  const close = make("button", "quiet", "Close");
  close.type = "button";
  close.addEventListener("click", () => { $("banner").hidden = true; });
  $("banner").append(" ", close);
}

function sentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1).replace(/\.$/, "")}.`;
}

function seconds() {
  return watch.seconds + (watch.since ? (performance.now() - watch.since) / 1000 : 0);
}

let ticks = 0;
function tick() {
  if (!desk.current) render();
  ticks += 1;
  if ((ticks * 1000) % STATUS_MS === 0) refresh($("projects").value);
}

// How far we are: what the service counts, which includes what was sent.
async function refresh(project) {
  if (document.hidden) return;
  const base = `/v1/projects/${encodeURIComponent(project)}`;
  try {
    const [status, own] = await Promise.all([api.get(base), api.get(`${base}/annotators/me`)]);
    if (!desk || status.name !== view.name) return;
    mine = own.accepted + own.late + own.surplus;
    if (status.edition !== view.edition) changed(status);
    progress(status);
    render();
  } catch {
    // The strip is a courtesy; the desk itself notices a lost connection.
  }
}

// The file was changed while we are at it: new classes come behind the others, so no key means another class.
function changed(status) {
  view = status;
  dress();
  if (desk.current) classes.suggest(desk.current.prediction);
}

let counted = { limited: false, done: 0, all: 0 };
function progress({ budget, items: { counts } }) {
  const limited = budget.votes !== null;
  counted = limited
    ? { limited, done: budget.spent, all: budget.votes }
    : { limited, done: counts.resolved, all: counts.ingested };
  draw();
}

// An answer of ours shows at once where it is sure to count; the rest comes with the next look at the service.
function spend({ outcome }) {
  if (!counted.limited || (outcome !== "accepted" && outcome !== "late")) return;
  counted.done += 1;
  draw();
}

function draw() {
  const { limited, done, all } = counted;
  $("whole").max = Math.max(all, 1);
  $("whole").value = Math.min(done, all);
  const number = new Intl.NumberFormat("en");
  $("whole-text").textContent = `${number.format(done)} of ${number.format(all)} ${limited ? "votes spent" : "items labeled"}`;
}

// --- events ----------------------------------------------------------------------------------------------------------

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("key").value.trim());
});
$("sign-out").addEventListener("click", () => askForKey());
$("projects").addEventListener("change", (event) => {
  event.target.blur();
  start(event.target.value);
});
for (const name of Object.keys(BESIDE)) $(`${name}-open`).addEventListener("click", () => toggle(name));
$("skip").addEventListener("click", skip);
$("undo").addEventListener("click", undo);
$("look-again").addEventListener("click", () => desk?.lookAgain());

document.addEventListener("keydown", (event) => {
  desk?.active();
  if (!desk || $("desk").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, select, textarea")) return;
  const key = event.key.toLowerCase();
  if (key === "u" || key === "backspace") undo();
  else if (key === "s") skip();
  else if (key === "?") instructions.toggle();
  else if (key === "/" && classes.searchable) classes.search();
  else if (!classes.press(key)) return;
  event.preventDefault();
});
document.addEventListener("pointerdown", () => desk?.active());
window.addEventListener("online", () => desk?.lookAgain());
window.addEventListener("pagehide", () => desk?.leave());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) watch = { since: 0, seconds: seconds() };
  else watch.since = performance.now();
});

const kept = sessionStorage.getItem(KEY);
if (kept) signIn(kept);
else askForKey();
