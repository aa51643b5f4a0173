/** A list that loads its next page when its end comes into view. */

import { make } from './dom.js';
import { LoadState } from './load-state.js';

/**
 * @template T
 */
export class PagedList extends HTMLElement {
  #leaving = new AbortController();
  #cursor = '';
  #isDone = false;
  #isLoading = false;

  /**
   * @param {object} options
   * @param {(cursor: string, signal: AbortSignal) => Promise<import('./objects.js').Page<T>>} options.load
   * @param {(item: T, signal: AbortSignal) => HTMLElement} options.draw makes the `li` of an item
   * @param {string} options.empty words for a list without items
   * @param {string} [options.kind] class of the list
   */
  constructor({ load, draw, empty, kind = '' }) {
    super();
    this.load = load;
    this.draw = draw;
    this.list = make('ul', { class: kind, role: 'list' });
    this.nothing = make('p', { class: 'empty', hidden: true }, empty);
    this.state = new LoadState(() => this.#extend());
  }

  connectedCallback() {
    this.#leaving = new AbortController();
    this.append(this.list, this.nothing, this.state);
    this.observer = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && this.#extend(),
      // A margin counts at what scrolls, not at what lies within.
      { root: this.closest('.comments-place, main'), rootMargin: '400px' },
    );
    this.observer.observe(this.state);
  }

  disconnectedCallback() {
    this.#leaving.abort();
    this.observer?.disconnect();
  }

  /** Ends with the list's place on the page. */
  get signal() {
    return this.#leaving.signal;
  }

  /** Look whether there are items, after some came or went. */
  countAgain() {
    this.nothing.hidden = this.list.childElementCount > 0 || !this.#isDone;
  }

  async #extend() {
    if (this.#isLoading || this.#isDone) return;
    this.#isLoading = true;
    const { signal } = this;
    const page = await this.state.during(() => this.load(this.#cursor, signal));
    this.#isLoading = false;
    if (!page || signal.aborted) return;
    this.list.append(...page.items.map((item) => this.draw(item, signal)));
    this.#cursor = page.next;
    this.#isDone = !page.next;
    this.countAgain();
    // An end that stays in view is not told twice.
    this.observer?.unobserve(this.state);
    this.observer?.observe(this.state);
  }
}

customElements.define('paged-list', PagedList);
