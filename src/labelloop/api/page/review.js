// Why an item is before a reviewer, in words, from what the service keeps of it: whoever reviews may read its history.

const ANY = "This item was disputed or skipped."; // true of every review
const found = new WeakMap(); // lease → promise of a sentence

export function why(api, project, lease) {
  if (!found.has(lease)) {
    const path = `/v1/projects/${encodeURIComponent(project)}/items/${lease.item}/history`;
    found.set(lease, api.get(path).then(sentence).catch(() => ANY));
  }
  return found.get(lease);
}

function sentence({ annotations, dispatches }) {
  const labels = new Set(annotations.filter((one) => one.counted).map((one) => one.label));
  const skipped = new Set(dispatches.filter((one) => one.state === "skipped").map((one) => one.annotator)).size;
  if (labels.size > 1) return `Annotators disagree about this item${skipped ? `, and ${skipped} skipped it` : ""}.`;
  return skipped ? `${skipped} annotator${skipped === 1 ? "" : "s"} skipped this item.` : ANY;
}
