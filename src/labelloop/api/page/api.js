// The HTTP calls of the page. Knows the key and the shape of problems; knows nothing of what is shown.

export class Problem extends Error {
  constructor(status, members, retryAfter) {
    super(members.detail || members.title || `The service answered ${status}.`);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  // The same call may well work later: no connection (0), overload, a restart, a proxy in between.
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export class Api {
  constructor(key) {
    this.key = key;
  }

  get(path) {
    return this.#json("GET", path);
  }

  post(path, body, options = {}) {
    return this.#json("POST", path, body, options);
  }

  async blob(path) {
    return (await this.#fetch("GET", path)).blob();
  }

  async #json(method, path, body, options) {
    const response = await this.#fetch(method, path, body, options);
    try {
      return await response.json();
    } catch {
      throw new Problem(0, { detail: "The connection broke off." });
    }
  }

  async #fetch(method, path, body, { idempotencyKey, keepalive = false } = {}) {
    const headers = { Authorization: `Bearer ${this.key}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
    let response;
    try {
      response = await fetch(path, {
        method, headers, keepalive, cache: "no-store", credentials: "omit",
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: keepalive ? undefined : AbortSignal.timeout(30_000),
      });
    } catch {
      throw new Problem(0, { detail: "The service cannot be reached." });
    }
    if (response.ok) return response;
    const members = await response.json().catch(() => ({}));
    throw new Problem(response.status, members, Number(response.headers.get("Retry-After")) || undefined);
  }
}
