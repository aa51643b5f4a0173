/** What stands at the end of a list while it is being loaded, or when that failed. */

import { make } from './dom.js';
import { ApiError, describe, isAbandoned } from './errors.js';
import { t } from './texts.js';

export class LoadState extends HTMLElement {
  #timer = 0;

  /** @param {() => void} retry loads once more */
  constructor(retry) {
    super();
    this.retry = retry;
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
  }

  /**
   * Load something, and tell how it goes. A failure that will pass is retried without being asked.
   *
   * @template T
   * @param {() => Promise<T>} load
   * @returns {Promise<T | undefined>} nothing when it failed
   */
  async during(load) {
    clearTimeout(this.#timer);
    this.replaceChildren(make('span', { class: 'spinner', role: 'status', 'aria-label': t('list.loading') }));
    try {
      const result = await load();
      this.replaceChildren();
      return result;
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    if (isAbandoned(error)) return this.replaceChildren();
    if (!(error instanceof ApiError)) console.error(error);
    const button = make('button', { type: 'button', class: 'quiet', onclick: () => this.retry() }, t('list.retry'));
    this.replaceChildren(make('p', { role: 'alert' }, describe(error)), button);
    if (error instanceof ApiError && error.isTemporary)
      this.#timer = setTimeout(this.retry, (error.retryAfterS + 2) * 1000);
  }
}

customElements.define('load-state', LoadState);
