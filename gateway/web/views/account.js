/** Logging in and registering. */

import { openSession } from '../api.js';
import { make } from '../dom.js';
import { describe } from '../errors.js';
import { goInstead, hashAfterLogin } from '../router.js';
import { makeSettings } from '../settings.js';
import { t } from '../texts.js';
import { View } from './view.js';

export class AccountView extends View {
  /** @param {'login' | 'register'} how */
  constructor(how) {
    super();
    this.how = how;
    this.refusal = make('p', { role: 'alert', class: 'refusal' });
    this.username = make('input', {
      id: 'username',
      autocomplete: 'username',
      autocapitalize: 'none',
      spellcheck: 'false',
      required: true,
    });
    this.password = make('input', {
      id: 'password',
      type: 'password',
      autocomplete: how === 'login' ? 'current-password' : 'new-password',
      required: true,
    });
    this.button = make('button', { class: 'primary' }, t(`account.${how}`));
  }

  show() {
    const { how } = this;
    const other = how === 'login' ? 'register' : 'login';
    const form = make(
      'form',
      { id: 'account-form', class: 'fields', onsubmit: (/** @type {Event} */ event) => this.#submit(event) },
      make('label', { for: 'username' }, t('account.name')),
      this.username,
      make('label', { for: 'password' }, t('account.password')),
      this.password,
      make('p', { class: 'hint' }, t('account.limits')),
      this.refusal,
      this.button,
    );
    const next = location.hash.split('?')[1];
    this.replaceChildren(
      make(
        'div',
        { class: 'card' },
        make('img', { class: 'mark', src: '/web/icon.svg', alt: '', width: 56, height: 56 }),
        make('h1', {}, t(how === 'login' ? 'account.welcome' : 'account.welcome-new')),
        make('p', { class: 'hint' }, t('account.agree')),
        form,
        make('a', { href: `#/${other}${next ? `?${next}` : ''}` }, t(`account.to-${other}`)),
        makeSettings(),
      ),
    );
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    this.refusal.textContent = '';
    this.button.disabled = true;
    try {
      const next = hashAfterLogin();
      await openSession(this.how, this.username.value, this.password.value);
      goInstead(next);
    } catch (error) {
      this.refusal.textContent = describe(error);
    } finally {
      this.button.disabled = false;
    }
  }
}

customElements.define('account-view', AccountView);
