// The classes as buttons with their keys: 1…9, then letters without those that mean something else.

import { make } from "./items.js";

const KEYS = "123456789abcdefghijklmnopqrtvwxyz"; // no s (skip), no u (undo)
const LETTERS = KEYS.replace(/[0-9]/g, "");
const DIGIT = /^[0-9]$/; // a class that is a digit has itself as key: nobody should press 4 for a 3
const MANY = 20; // more than this: offer a search

export class Classes {
  #place;
  #box;
  #find;
  #choose;
  #buttons = [];
  #keys = [];

  constructor(place, box, find, choose) {
    this.#place = place;
    this.#box = box;
    this.#find = find;
    this.#choose = choose;
    find.addEventListener("input", () => this.#filter());
    find.addEventListener("keydown", (event) => this.#key(event));
  }

  get searchable() {
    return !this.#box.hidden;
  }

  set(names) {
    const others = [...(names.some((name) => DIGIT.test(name)) ? LETTERS : KEYS)];
    this.#keys = names.map((name) => (DIGIT.test(name) ? name : others.shift()));
    this.#buttons = names.map((name, place) => this.#button(name, this.#keys[place]));
    this.#place.replaceChildren(...this.#buttons);
    this.#box.hidden = names.length <= MANY;
    this.#find.value = "";
  }

  // Whether this key stands for a class; if so, choose it.
  press(key) {
    const button = this.#buttons[this.#keys.indexOf(key)];
    if (button) this.#choose(button.value);
    return Boolean(button);
  }

  search() {
    this.#find.focus();
  }

  flash(name) {
    for (const button of this.#buttons) button.classList.toggle("told", button.value === name);
    setTimeout(() => this.#buttons.forEach((button) => button.classList.remove("told")), 250);
  }

  // Mark what the model thinks, where the service tells.
  suggest(name) {
    for (const button of this.#buttons) button.classList.toggle("guess", name !== undefined && button.value === name);
  }

  #button(name, key) {
    const button = make("button");
    button.type = "button";
    button.value = name;
    if (key) {
      button.append(make("kbd", "", key.toUpperCase()));
      button.setAttribute("aria-keyshortcuts", key);
    }
    button.append(make("span", "", name));
    button.addEventListener("click", (event) => {
      // A clicked button would keep the focus, and the next Enter or space would answer an item nobody looked at.
      if (event.detail) button.blur();
      this.#choose(name);
    });
    return button;
  }

  #filter() {
    const words = this.#find.value.trim().toLowerCase();
    for (const button of this.#buttons) button.hidden = !button.value.toLowerCase().includes(words);
  }

  #key(event) {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    const first = this.#buttons.find((button) => !button.hidden);
    if (event.key === "Enter" && this.#find.value.trim() && first) this.#choose(first.value);
    this.#find.value = "";
    this.#filter();
    this.#find.blur();
  }
}
