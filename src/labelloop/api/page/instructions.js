// What annotators read before they start: open until this person closes it here or has answered, then a key away.
// Kept in localStorage is a number made of the text, not the text: when it changes, it is open again.

export class Instructions {
  #place;
  #name = "";
  #mark = "";
  #read = false;

  constructor(place) {
    this.#place = place;
    // Also comes when we open or close it ourselves: what is closed then was read before.
    place.addEventListener("toggle", () => { if (!place.open) this.#keep(); });
  }

  set(text, project, subject) {
    this.#name = `labelloop.read.${JSON.stringify([subject, project])}`;
    this.#mark = String([...text].reduce((sum, sign) => (sum * 31 + sign.codePointAt(0)) | 0, 7));
    this.#place.hidden = !text;
    this.#place.lastElementChild.textContent = text;
    this.#read = this.#kept() === this.#mark;
    this.#place.open = !this.#read;
  }

  toggle() {
    this.#place.open = !this.#place.open;
  }

  // An answer was given. Closed at the first one only: whoever opens it again wants to see it beside the items.
  answered() {
    if (this.#read) return;
    this.#place.open = false;
    this.#keep();
  }

  #kept() {
    try {
      return localStorage.getItem(this.#name);
    } catch {
      return null; // no storage: open at first, each time
    }
  }

  #keep() {
    this.#read = true;
    try {
      localStorage.setItem(this.#name, this.#mark);
    } catch {
      // As above.
    }
  }
}
