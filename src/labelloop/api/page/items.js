// How an item looks: text, picture or table. Item data enters the document as text, pixels or blob URLs only.

const LONG_TEXT = 600;

export class Pictures {
  #api;
  #base;
  #urls = new Map(); // lease → promise of a blob URL

  constructor(api, project) {
    this.#api = api;
    this.#base = `/v1/projects/${encodeURIComponent(project)}/items`;
  }

  url(lease, field) {
    if (!this.#urls.has(lease.lease)) {
      const path = `${this.#base}/${lease.item}/media/${encodeURIComponent(field)}`;
      const url = this.#api.blob(path).then((blob) => URL.createObjectURL(blob));
      url.catch(() => this.#urls.delete(lease.lease));
      this.#urls.set(lease.lease, url);
    }
    return this.#urls.get(lease.lease);
  }

  // Keep the pictures of these leases, free the others.
  keep(leases) {
    const kept = new Set(leases.map((lease) => lease.lease));
    for (const [lease, url] of this.#urls) {
      if (kept.has(lease)) continue;
      this.#urls.delete(lease);
      url.then(URL.revokeObjectURL, () => {});
    }
  }
}

export function show(lease, { kind, field, maximum }, pictures) {
  if (kind === "image") return picture(lease, field, maximum, pictures);
  if (kind === "table") return table(lease.data);
  return text(lease.data[field]);
}

export function prefetch(leases, { kind, field }, pictures) {
  if (kind !== "image") return;
  for (const lease of leases) if (typeof lease.data[field] === "string") pictures.url(lease, field).catch(() => {});
}

function text(value) {
  const words = readable(value);
  const element = make("p", "text");
  element.dir = "auto";
  element.append(visible(words));
  element.classList.toggle("long", words.length > LONG_TEXT);
  return element;
}

function table(data) {
  const list = make("dl");
  for (const [name, value] of Object.entries(data)) {
    const row = make("div");
    const cell = make("dd");
    cell.append(visible(readable(value)));
    row.append(make("dt", "", name), cell);
    list.append(row);
  }
  return list;
}

function picture(lease, field, maximum, pictures) {
  const frame = make("figure");
  const value = lease.data[field];
  if (Array.isArray(value)) {
    frame.append(draw(value, maximum) || make("p", "trouble", "These are not rows of grey values."));
  } else if (typeof value === "string") {
    const image = make("img");
    image.alt = `Picture of item ${lease.key}`;
    frame.append(image);
    const fail = (why) => frame.replaceChildren(make("p", "trouble", why));
    image.addEventListener("error", () => fail("This picture cannot be shown. Skip the item."));
    pictures.url(lease, field).then((url) => { image.src = url; }, (problem) => fail(problem.message));
  } else {
    frame.append(make("p", "trouble", `The item has no picture in the field “${field}”. Skip it.`));
  }
  return frame;
}

// Rows of grey values (or of [red, green, blue]), 0 … maximum; one canvas pixel each, enlarged without blur by the style.
function draw(rows, maximum) {
  const height = rows.length;
  const width = Array.isArray(rows[0]) ? rows[0].length : 0;
  if (!height || !width || height * width > 16_000_000) return null;
  const canvas = make("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Picture of ${width} by ${height} pixels`);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const value = rows[y]?.[x] ?? 0;
      for (let colour = 0; colour < 3; colour += 1) {
        pixels.data[(y * width + x) * 4 + colour] = (255 * (Array.isArray(value) ? value[colour] : value)) / maximum;
      }
      pixels.data[(y * width + x) * 4 + 3] = 255;
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function readable(value) {
  if (value === undefined || value === null) return "—";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  return typeof value === "string" ? value : JSON.stringify(value);
}

// The words, or a mark in their place where there is nothing to see: spaces, controls, characters without a width.
function visible(words) {
  return /^[\s\p{Cc}\p{Cf}]*$/u.test(words) ? make("span", "empty", "(empty)") : words;
}

export function make(tag, style = "", words = undefined) {
  const element = document.createElement(tag);
  if (style) element.className = style;
  if (words !== undefined) element.textContent = words;
  return element;
}
