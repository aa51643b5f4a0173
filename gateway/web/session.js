/** Who is logged in, in every tab of this browser. */

/** @typedef {import('./objects.js').Viewer} Viewer */

const STORED = 'dousheng.session';

/** Fires `change` when somebody logs in or out, here or in another tab. */
class Session extends EventTarget {
  /** @type {Viewer | null} */
  viewer = read();

  /** @param {Viewer} viewer */
  begin(viewer) {
    localStorage.setItem(STORED, JSON.stringify(viewer));
    this.#become(viewer);
  }

  end() {
    localStorage.removeItem(STORED);
    this.#become(null);
  }

  /** What another tab did. */
  follow() {
    this.#become(read());
  }

  /** @param {number} userId */
  isViewer(userId) {
    return this.viewer?.user_id === userId;
  }

  /** @param {Viewer | null} viewer */
  #become(viewer) {
    this.viewer = viewer;
    this.dispatchEvent(new Event('change'));
  }
}

/** @returns {Viewer | null} */
function read() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? 'null');
    return typeof stored?.token === 'string' && Number.isSafeInteger(stored.user_id) ? stored : null;
  } catch {
    return null; // Somebody else's text under our key: nobody is logged in.
  }
}

export const session = new Session();
addEventListener('storage', (event) => {
  if (event.key === STORED || event.key === null) session.follow();
});
