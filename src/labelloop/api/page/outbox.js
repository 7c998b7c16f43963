// Answers on their way to the service. Each is kept in localStorage until the service has acknowledged it, so neither a
// broken connection nor a reload loses one. An answer's own id is its Idempotency-Key: sent twice, it counts once.
// Kept are lease numbers and labels only, never item data and never the key; and each person's apart.

const WAITS = [1000, 2000, 4000, 8000, 15000];

export class Outbox {
  #prefix;
  #api;
  #base;
  #on;
  #sending = false;
  #failures = 0;
  #timer;

  constructor({ api, project, subject, on }) {
    this.#prefix = `labelloop.outbox.${JSON.stringify([subject, project])}.`;
    this.#base = `/v1/projects/${encodeURIComponent(project)}`;
    this.#api = api;
    this.#on = on;
    this.entries = this.#load();
    this.offline = false;
  }

  has(lease) {
    return this.entries.some((entry) => entry.lease === lease);
  }

  // `answer` is {lease, label, seconds} or {lease, skip: true}.
  add(answer) {
    const entry = { id: newId(), at: Date.now(), ...answer };
    this.entries.push(entry);
    try {
      localStorage.setItem(this.#prefix + entry.id, JSON.stringify(entry));
    } catch {
      // Storage is full or forbidden: the answer still lives in this tab until it is sent.
    }
    this.send();
  }

  async send() {
    if (this.#sending) return;
    this.#sending = true;
    clearTimeout(this.#timer);
    try {
      while (this.entries.length) {
        const entry = this.entries[0];
        const outcome = await this.#post(entry);
        this.#failures = 0;
        this.offline = false;
        this.#forget(entry);
        this.#on.sent(entry, outcome);
      }
    } catch (problem) {
      this.#failed(problem);
    } finally {
      this.#sending = false;
    }
  }

  // The page is being left: hand everything to the browser, which goes on sending. What it does not manage is still in
  // localStorage, and sent again (under the same id) the next time this person opens the page.
  leave() {
    for (const entry of this.entries) this.#post(entry, true).catch(() => {});
  }

  close() {
    clearTimeout(this.#timer);
  }

  async #post(entry, keepalive = false) {
    if (entry.skip) {
      return (await this.#api.post(`${this.#base}/leases/skip`, { leases: [entry.lease] }, { keepalive })).outcomes[0];
    }
    const body = { annotations: [{ lease: entry.lease, label: entry.label, seconds: entry.seconds }] };
    const options = { idempotencyKey: entry.id, keepalive };
    return (await this.#api.post(`${this.#base}/annotations`, body, options)).outcomes[0];
  }

  #failed(problem) {
    if (problem.status === 401) {
      this.#on.signedOut();
    } else if (problem.passing === false) {
      // Refused for good (the project is gone, say): sending it again cannot help, so say so and go on.
      const entry = this.entries[0];
      this.#forget(entry);
      this.#on.sent(entry, { outcome: "rejected", reason: problem.message });
      this.#timer = setTimeout(() => this.send(), 0);
    } else {
      this.offline = true;
      const wait = problem.retryAfter ? problem.retryAfter * 1000 : WAITS[Math.min(this.#failures, WAITS.length - 1)];
      this.#failures += 1;
      this.#timer = setTimeout(() => this.send(), wait);
      this.#on.changed();
    }
  }

  #forget(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    try {
      localStorage.removeItem(this.#prefix + entry.id);
    } catch {
      // As in add().
    }
  }

  #load() {
    const found = [];
    try {
      for (let index = 0; index < localStorage.length; index += 1) {
        const name = localStorage.key(index);
        if (name.startsWith(this.#prefix)) found.push(JSON.parse(localStorage.getItem(name)));
      }
    } catch {
      // No storage: nothing was kept.
    }
    return found.sort((one, other) => one.at - other.at);
  }
}

// crypto.randomUUID exists on https and localhost only; a service in a plain local network must work, too.
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
