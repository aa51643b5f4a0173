/** Whether the product can be reached. Once it cannot, it is asked again and again until it answers. */

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;
const PROBE_DEADLINE_MS = 4_000;

/** Fires `change`. */
class Connection extends EventTarget {
  isLost = false;
  #pauseMs = FIRST_PAUSE_MS;
  #timer = 0;

  /** Somebody got no answer. */
  lose() {
    if (this.isLost) return;
    this.isLost = true;
    this.dispatchEvent(new Event('change'));
    this.#askLater();
  }

  /** Ask at once: something fails that may be the connection's fault. */
  async check() {
    if (await this.#answers()) this.#recover();
    else this.lose();
  }

  /**
   * Wait until the product answers again.
   *
   * @param {AbortSignal} [signal] ends the waiting with its reason
   * @returns {Promise<void>}
   */
  whenBack(signal) {
    return new Promise((resolve, reject) => {
      if (!this.isLost) return resolve();
      const stop = new AbortController();
      this.addEventListener(
        'change',
        () => {
          stop.abort();
          resolve();
        },
        { once: true, signal: stop.signal },
      );
      signal?.addEventListener(
        'abort',
        () => {
          stop.abort();
          reject(signal.reason);
        },
        { signal: stop.signal },
      );
    });
  }

  #askLater() {
    this.#timer = setTimeout(async () => {
      if (await this.#answers()) return this.#recover();
      this.#pauseMs = Math.min(this.#pauseMs * 1.6, LONGEST_PAUSE_MS);
      this.#askLater();
    }, this.#pauseMs);
  }

  #recover() {
    if (!this.isLost) return;
    clearTimeout(this.#timer);
    this.#pauseMs = FIRST_PAUSE_MS;
    this.isLost = false;
    this.dispatchEvent(new Event('change'));
  }

  async #answers() {
    try {
      const signal = AbortSignal.timeout(PROBE_DEADLINE_MS);
      return (await fetch('/healthz', { cache: 'no-store', signal })).ok;
    } catch {
      return false;
    }
  }
}

export const connection = new Connection();
addEventListener('offline', () => connection.lose());
addEventListener('online', () => connection.check());
