// The tables of the overview: models, classes, annotators. Every name in them is somebody's text, and enters as text.

import { estimate, nameOf, scored } from "./chart.js";
import { make } from "./items.js";

const number = new Intl.NumberFormat("en");
const percent = (part, places = 0) => (part === null ? "–" : `${(100 * part).toFixed(places)} %`);

export function fillModels(table, models, metric) {
  const heads = ["Model", "#Labels", "#Votes", `#${nameOf(metric)}`, "#Audit items", "State", "Reason"];
  fill(table, heads, [...models].reverse().map((model) => [
    String(model.number),
    number.format(model.labels),
    number.format(model.spent),
    scored(model, metric) ? estimate(model.metrics[metric]) : "–",
    model.metrics.audit_items === undefined ? "–" : number.format(model.metrics.audit_items),
    model.state,
    model.reason,
  ]));
}

// A bar for each class: its labels, and a mark where the target of the minority lane is, among as many labels in all.
export function fillClasses(table, { classes, labels }) {
  const wanted = classes.map((one) => Math.max((one.target ?? 0) * labels, one.floor ?? 0));
  const most = Math.max(1, ...wanted, ...classes.map((one) => one.labels));
  const asked = classes[0]?.lanes.minority.asked;
  const heads = ["Class", "Against the target", "#Labels", "#Share", "#Target"];
  if (asked) heads.push("#Minority lane", "#By chance");
  fill(table, heads, classes.map((one, at) => {
    const { came, by_chance: chance } = one.lanes.minority;
    return [
      one.class,
      bar(one, one.labels / most, wanted[at] / most),
      number.format(one.labels),
      percent(one.share, 1),
      percent(one.target, 1),
      number.format(came),
      chance ? chance.mean.toFixed(1) : "–",
    ].slice(0, heads.length);
  }));
  // On a narrow screen the rows are laid out anew, which would take their meaning from them: it is said outright.
  table.querySelectorAll("tr").forEach((row) => row.setAttribute("role", "row"));
  table.querySelectorAll("thead, tbody").forEach((part) => part.setAttribute("role", "rowgroup"));
  table.querySelectorAll("thead th").forEach((cell) => cell.setAttribute("role", "columnheader"));
  table.querySelectorAll("tbody th").forEach((cell) => cell.setAttribute("role", "rowheader"));
  table.querySelectorAll("td").forEach((cell) => cell.setAttribute("role", "cell"));
}

export function wordsOnClasses({ classes, labels, audit, minority }) {
  if (!classes.length) return "The labels of this project are no plain classes, so nothing can be counted by class.";
  const asked = classes[0].lanes.minority.asked;
  const floors = classes.some(({ floor }) => floor) ? ", or the floor where that is more" : "";
  const lane = `The minority lane has ${percent(minority.share)} of what is handed out`;
  const brought = asked
    ? ` and brought ${number.format(asked)} labels; beside each class what chance would have brought among as many`
    : " and has brought no label yet";
  const unknown = asked && !audit ? ", which the audit lane will tell when it has answers" : "";
  return `${number.format(labels)} labels; the mark on a bar is the target${floors}. ${lane}${brought}${unknown}.`;
}

function bar({ floor, missing, mute }, part, target) {
  const cell = make("div");
  const track = make("div", "share");
  track.setAttribute("aria-hidden", "true"); // the numbers beside it say the same
  const [filled, mark] = [make("i"), make("b")];
  filled.style.width = `${100 * part}%`;
  mark.style.left = `${100 * target}%`;
  track.append(filled);
  if (target > 0) track.append(mark);
  cell.append(track);
  if (missing) cell.append(make("span", "remark", `${number.format(missing)} missing of ${number.format(floor)}`), " ");
  if (mute) cell.append(make("span", "remark", `mute ${percent(mute)}`));
  return cell;
}

// In the order of their names: this is no ranking.
export function fillAnnotators(table, { annotators }) {
  const heads = ["Annotator", "#Answers", "#Agreed", "#Gold right", "#Seconds each", "#Skipped", "#Open"];
  fill(table, heads, annotators.map((one) => {
    const counted = one.accepted + one.late;
    const answers = counted + one.surplus;
    return [
      one.annotator,
      number.format(answers),
      counted ? `${number.format(one.agreed)} (${percent(one.agreed / counted)})` : "–",
      one.gold ? `${number.format(one.right)} of ${number.format(one.gold)}` : "–",
      one.seconds && answers ? (one.seconds / answers).toFixed(1) : "–",
      number.format(one.skipped),
      number.format(one.open),
    ];
  }));
}

export function wordsOnAnnotators({ annotators, agreement }) {
  if (!annotators.length) return "Nobody has answered yet.";
  const agreed = "Agreed: the answers that equal the consensus, of all that count; items that have none yet lower it.";
  if (!agreement?.items) return `${agreed} No item has two votes that can be compared.`;
  const measures = [["alpha", "Krippendorff’s alpha"], ["ac1", "Gwet’s AC1"]];
  const known = measures.filter(([key]) => agreement[key] !== null);
  const beyond = known.map(([key, name]) => `${name} ${agreement[key].toFixed(2)}`).join(", ");
  const confused = agreement.confused.slice(0, 3)
    .map(({ classes, pairs }) => `“${classes[0]}” against “${classes[1]}” (${pairs})`).join(", ");
  return `${agreed} On ${number.format(agreement.items)} items with two votes or more, `
    + `${percent(agreement.observed)} of the pairs of votes agree${beyond ? `; beyond chance: ${beyond}` : ""}.`
    + (confused ? ` Confused most: ${confused}.` : "");
}

// A head that begins with # is over a column of numbers.
function fill(table, heads, rows) {
  const [top, body] = [make("thead"), make("tbody")];
  if (rows.length) top.append(lined("th", heads, heads));
  body.append(...rows.map((row) => lined("td", heads, row)));
  table.replaceChildren(top, body);
}

function lined(tag, heads, cells) {
  const row = make("tr");
  cells.forEach((cell, at) => {
    const first = at === 0 && tag === "td";
    const element = make(first ? "th" : tag, heads[at].startsWith("#") ? "figure" : "");
    if (tag === "th" || first) element.setAttribute("scope", first ? "row" : "col");
    else element.dataset.head = heads[at].replace("#", ""); // shown where the row of heads is not
    element.append(tag === "th" ? cell.replace("#", "") : cell);
    row.append(element);
  });
  return row;
}
