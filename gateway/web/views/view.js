/** What every view has: a life from the address that shows it to the next one. */

export class View extends HTMLElement {
  #leaving = new AbortController();

  /** Ends when the person goes elsewhere. */
  get signal() {
    return this.#leaving.signal;
  }

  connectedCallback() {
    this.#leaving = new AbortController();
    this.show();
  }

  disconnectedCallback() {
    this.#leaving.abort();
  }

  /** Build the view; a view fills this in. */
  show() {}
}
