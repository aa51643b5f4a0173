/** What stands above the messages of a chat: the way to earlier ones, how loading them goes, or that the chat begins here. */

import { make } from './dom.js';
import { LoadState } from './load-state.js';
import { t } from './texts.js';

/**
 * @typedef {import('./objects.js').Message} Message
 * @typedef {import('./objects.js').Page<Message>} Page
 */

export class EarlierMessages extends HTMLElement {
  #leaving = new AbortController();
  #cursor = '';
  #isLoading = false;

  /**
   * @param {object} options
   * @param {HTMLElement} options.scroller holds this element, and the messages behind it
   * @param {(cursor: string, signal: AbortSignal) => Promise<Page>} options.load
   * @param {(messages: Message[]) => void} options.draw puts a page, oldest first, above what is there
   */
  constructor({ scroller, load, draw }) {
    super();
    this.scroller = scroller;
    this.load = load;
    this.draw = draw;
    const button = { type: 'button', class: 'quiet', hidden: true, onclick: () => this.#extend() };
    this.more = make('button', button, t('chat.earlier'));
    this.beginning = make('p', { class: 'hint', role: 'status' });
    this.state = new LoadState(() => this.#extend());
  }

  connectedCallback() {
    this.#leaving = new AbortController();
    this.append(this.more, this.state, this.beginning);
    this.observer = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && this.#extend(),
      { root: this.scroller, rootMargin: '200px' },
    );
    this.observer.observe(this);
  }

  disconnectedCallback() {
    this.#leaving.abort();
    this.observer?.disconnect();
  }

  /**
   * Go on from here.
   *
   * @param {string} cursor "" where the chat begins
   */
  continueFrom(cursor) {
    this.#cursor = cursor;
    this.more.hidden = !cursor;
    this.beginning.textContent = cursor ? '' : t('chat.beginning');
    // A place that stays in view is not told twice.
    this.observer?.unobserve(this);
    this.observer?.observe(this);
  }

  async #extend() {
    if (this.#isLoading || !this.#cursor) return;
    this.#isLoading = true;
    // The button goes; whoever stood on it stays in the chat.
    if (this.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
    this.more.hidden = true;
    const { signal } = this.#leaving;
    const page = await this.state.during(() => this.load(this.#cursor, signal));
    this.#isLoading = false;
    if (!page || signal.aborted) return;
    this.continueFrom(page.next);
    this.draw(page.items);
  }
}

customElements.define('earlier-messages', EarlierMessages);
