// The work in hand: items leased ahead, the answer held back for undo, renewal while somebody is there.
// Knows nothing of how things look; tells its listener that something changed.

import { Outbox } from "./outbox.js";

const AHEAD = 5; // fewer items than this in hand: ask for more
const BATCH = 10;
const LONGEST_WAIT_S = 15; // between two looks at a service that has nothing for us
const IDLE_MS = 15 * 60_000; // nobody there for so long: stop renewing, so that others may have the items

// Undo: the service keeps every answer for ever, so the last one is held back here until the next answer, or this long.
// Until then it can be taken back without a trace; after that it is sent. Leaving the page sends it at once.
const HOLD_MS = 3000;

export class Desk {
  #api;
  #base;
  #on;
  #filling = false;
  #empty = 0; // answers in a row that brought nothing
  #closed = false;
  #timers = {};
  #activeAt = Date.now();

  constructor({ api, project, subject, on }) {
    this.#api = api;
    this.#base = `/v1/projects/${encodeURIComponent(project)}`;
    this.#on = on;
    this.queue = [];
    this.held = null; // {lease, label, seconds} or {lease, skip: true}
    this.waiting = null; // {reason, until}: nothing to do; until is null when it will stay so
    this.unreachable = false;
    this.outbox = new Outbox({
      api, project, subject,
      on: {
        sent: (entry, outcome) => {
          on.sent(entry, outcome);
          // Somebody works under this name elsewhere: learn which of the items in hand are answered, too.
          if (outcome.outcome === "duplicate") this.#renew();
          this.fill();
        },
        changed: () => on.changed(),
        signedOut: () => this.#signedOut(),
      },
    });
  }

  get current() {
    return this.queue[0] || null;
  }

  get unsent() {
    return this.outbox.entries.length;
  }

  get offline() {
    return this.outbox.offline || this.unreachable;
  }

  // Go on where this person stopped: first the leases that are still open, then new ones.
  async open() {
    this.#filling = true; // an answer that is sent meanwhile must not ask for more: we do not know yet what we hold
    this.outbox.send();
    await this.#ask(() => this.#api.get(`${this.#base}/leases`));
    this.#filling = false;
    await this.fill();
  }

  answer(label, seconds) {
    this.#take({ label, seconds });
  }

  skip() {
    this.#take({ skip: true });
  }

  undo() {
    if (!this.held) return false;
    clearTimeout(this.#timers.hold);
    this.queue.unshift(this.held.lease);
    this.held = null;
    this.waiting = null;
    this.#on.changed();
    return true;
  }

  active() {
    const away = Date.now() - this.#activeAt > IDLE_MS;
    this.#activeAt = Date.now();
    if (away) this.#renew();
  }

  lookAgain() {
    this.outbox.send();
    return this.fill({ now: true });
  }

  leave() {
    this.#commit();
    this.outbox.leave();
  }

  // Another project, or signed out: send what is held, give the rest back.
  async close() {
    this.#commit();
    this.#closed = true;
    Object.values(this.#timers).forEach(clearTimeout);
    const leases = this.queue.map((lease) => lease.lease);
    this.queue = [];
    await this.outbox.send();
    this.outbox.close();
    if (leases.length) await this.#api.post(`${this.#base}/leases/release`, { leases }).catch(() => {});
  }

  async fill({ now = false } = {}) {
    const soon = this.waiting?.until && this.waiting.until > Date.now();
    if (this.#closed || this.#filling || this.queue.length >= AHEAD || (soon && !now)) return;
    this.#filling = true;
    await this.#ask(() => this.#api.post(`${this.#base}/leases`, { count: BATCH - this.queue.length }));
    this.#filling = false;
  }

  async #ask(call) {
    let found;
    try {
      found = await call();
    } catch (problem) {
      return this.#failed(problem);
    }
    if (this.#closed) return undefined;
    this.unreachable = false;
    const known = new Set([...this.queue, ...(this.held ? [this.held.lease] : [])].map((lease) => lease.lease));
    const fresh = found.leases.filter((lease) => !known.has(lease.lease) && !this.outbox.has(lease.lease));
    this.queue.push(...fresh);
    this.waiting = null;
    if (fresh.length) this.#empty = 0;
    if (!fresh.length && found.reason) {
      this.#empty += 1;
      const patience = Math.min(2 ** this.#empty, LONGEST_WAIT_S);
      const seconds = found.retry_after === undefined ? null : Math.max(found.retry_after, patience);
      this.waiting = { reason: found.reason, until: seconds === null ? null : Date.now() + seconds * 1000 };
      this.#later("fill", (seconds ?? 30) * 1000, () => this.fill({ now: true }));
    }
    this.#keepRenewing(fresh);
    this.#on.changed();
    return undefined;
  }

  #failed(problem) {
    if (problem.status === 401) return this.#signedOut();
    if (problem.passing) {
      this.unreachable = true;
      this.#later("fill", (problem.retryAfter ?? 3) * 1000, () => this.fill({ now: true }));
    } else {
      this.waiting = { reason: problem.message, until: null };
    }
    return this.#on.changed();
  }

  #signedOut() {
    this.#closed = true;
    Object.values(this.#timers).forEach(clearTimeout);
    this.outbox.close();
    this.#on.signedOut();
  }

  #take(answer) {
    const lease = this.queue.shift();
    if (!lease) return;
    this.#commit();
    this.held = { lease, ...answer };
    this.#later("hold", HOLD_MS, () => {
      this.#commit();
      this.#on.changed();
    });
    this.fill();
    this.#on.changed();
  }

  #commit() {
    if (!this.held) return;
    clearTimeout(this.#timers.hold);
    const { lease, ...answer } = this.held;
    this.held = null;
    this.outbox.add({ lease: lease.lease, ...answer });
  }

  #keepRenewing(leases) {
    if (!leases.length || this.#timers.renew) return;
    // The clocks of browser and service may differ, but not by so much that a beat between 1 s and 60 s fails often;
    // where it does, the answer is still taken as a late one.
    const left = Math.min(...leases.map((lease) => Date.parse(lease.expires_at))) - Date.now();
    const beat = Math.min(Math.max(left / 3, 1000), 60_000);
    this.#later("renew", beat, () => {
      this.#timers.renew = undefined;
      this.#renew();
    });
  }

  async #renew() {
    const mine = [...this.queue, ...(this.held ? [this.held.lease] : [])];
    if (this.#closed || !mine.length || Date.now() - this.#activeAt > IDLE_MS) return;
    try {
      const { outcomes } = await this.#api.post(`${this.#base}/leases/renew`, { leases: mine.map((one) => one.lease) });
      const renewed = new Map(outcomes.map((one) => [one.lease, one]));
      for (const lease of mine) lease.expires_at = renewed.get(lease.lease)?.expires_at ?? lease.expires_at;
      // What ran out is somebody else's now; only the item on screen stays, for its answer still counts if a slot is free.
      const lost = (lease) => renewed.get(lease.lease)?.outcome === "rejected";
      this.queue = this.queue.filter((lease, place) => place === 0 || !lost(lease));
      this.fill();
    } catch (problem) {
      if (problem.status === 401) return this.#signedOut();
    }
    return this.#keepRenewing(mine);
  }

  #later(name, milliseconds, what) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(what, milliseconds);
  }
}
