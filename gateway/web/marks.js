/**
 * Likes and follows: what a person sets shows at once, everywhere on the page, and is taken back when it is refused.
 */

import { setCommentLike, setFollow, setLike } from './api.js';
import { requireViewer } from './router.js';
import { session } from './session.js';
import { tellError } from './toasts.js';

const SENDERS = { like: setLike, follow: setFollow, comment: setCommentLike };

/** Something that is set or not. Fires `change`. */
class Mark extends EventTarget {
  #send;
  #isConfirmed = false;
  #isSending = false;
  isSet = false;
  count = 0;

  /** @param {(isSet: boolean) => Promise<void>} send */
  constructor(send) {
    super();
    this.#send = send;
  }

  /**
   * What the product says. An action that is under way knows better.
   *
   * @param {boolean} isSet
   * @param {number} count
   */
  learn(isSet, count) {
    if (this.#isSending) return;
    this.#isConfirmed = this.isSet = isSet;
    this.count = count;
    this.dispatchEvent(new Event('change'));
  }

  /**
   * Set it, or not. Whoever changes their mind while a request is under way gets one more request, so that the
   * last wish is also the last that the product hears.
   *
   * @param {boolean} isSet
   */
  async wish(isSet) {
    if (!requireViewer()) return;
    this.#show(isSet);
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      while (this.isSet !== this.#isConfirmed) {
        const wished = this.isSet;
        await this.#send(wished);
        this.#isConfirmed = wished;
      }
    } catch (error) {
      this.#show(this.#isConfirmed);
      tellError(error);
    } finally {
      this.#isSending = false;
    }
  }

  toggle() {
    return this.wish(!this.isSet);
  }

  /** @param {boolean} isSet */
  #show(isSet) {
    if (isSet === this.isSet) return;
    this.isSet = isSet;
    this.count = Math.max(0, this.count + (isSet ? 1 : -1));
    this.dispatchEvent(new Event('change'));
  }
}

/** @type {Map<string, Mark>} */
const marks = new Map();
// What somebody else sees is different.
session.addEventListener('change', () => marks.clear());

/**
 * Find the one mark of a thing: a video's `like`, a user's `follow`, a comment's like.
 *
 * @param {keyof typeof SENDERS} kind
 * @param {number} id
 * @param {boolean} isSet as the product just said
 * @param {number} [count]
 */
export function markOf(kind, id, isSet, count = 0) {
  const key = `${kind}:${id}`;
  const mark = marks.get(key) ?? new Mark((wished) => SENDERS[kind](id, wished));
  marks.set(key, mark);
  mark.learn(isSet, count);
  return mark;
}

/**
 * Show a mark now and whenever it changes.
 *
 * @param {Mark} mark
 * @param {AbortSignal} signal ends it
 * @param {() => void} show
 */
export function watchMark(mark, signal, show) {
  mark.addEventListener('change', show, { signal });
  show();
}
