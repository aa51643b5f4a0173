/** The form for a short text: Enter sends it, Shift and Enter begin a new line. */

import { icon, make } from './dom.js';
import { describe } from './errors.js';

export class Composer {
  /**
   * @param {object} options
   * @param {string} options.name begins the ids of the form and of its field
   * @param {string} options.label says what is written
   * @param {string} options.send says what the button does
   * @param {(text: string) => void} options.onText gets the text, which has left the form
   */
  constructor({ name, label, send, onText }) {
    this.onText = onText;
    this.text = make('textarea', {
      id: `${name}-text`,
      rows: 1,
      required: true,
      'aria-label': label,
      placeholder: label,
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#press(event),
    });
    this.refusal = make('p', { role: 'alert', class: 'refusal' });
    this.form = make(
      'form',
      { id: `${name}-form`, class: 'composer', onsubmit: (/** @type {Event} */ event) => this.#submit(event) },
      this.refusal,
      this.text,
      make('button', { class: 'send', 'aria-label': send, title: send }, icon('send')),
    );
  }

  /**
   * Give a text back that was refused, unless another one was begun, and say why.
   *
   * @param {string} text
   * @param {unknown} error
   */
  refuse(text, error) {
    this.text.value ||= text;
    this.refusal.textContent = describe(error);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = this.text.value;
    this.text.value = this.refusal.textContent = '';
    this.onText(text);
  }
}
