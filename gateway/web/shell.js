/** What stands around every view: navigation, the banner of a lost connection, and the place of the view. */

import { connection } from './connection.js';
import { icon, make } from './dom.js';
import { loginHash } from './router.js';
import { session } from './session.js';
import { makeSettings } from './settings.js';
import { t } from './texts.js';
import { unread } from './unread.js';

/** @type {[view: string, hash: string, picture: import('./dom.js').IconName, words: import('./texts.js').TextKey][]} */
const PLACES = [
  ['feed', '#/', 'home', 'nav.home'],
  ['friends', '#/friends', 'friends', 'nav.friends'],
  ['publish', '#/publish', 'plus', 'nav.publish'],
  ['messages', '#/messages', 'chat', 'nav.messages'],
  ['me', '#/me', 'person', 'nav.me'],
];

export class AppShell extends HTMLElement {
  main = make('main', { tabindex: -1 });
  /** @type {Map<string, HTMLAnchorElement>} */
  #links = new Map();

  connectedCallback() {
    const skip = make('button', { type: 'button', class: 'skip', onclick: () => this.main.focus() }, t('app.skip'));
    this.replaceChildren(skip, this.#makeBanner(), this.#makeNavigation(), this.main);
    unread.addEventListener('change', () => this.#showUnread());
  }

  /**
   * Put a view in its place.
   *
   * @param {HTMLElement} view
   * @param {string} place the name of the link that leads to it
   */
  show(view, place) {
    this.main.replaceChildren(view);
    this.dataset.view = view.localName;
    for (const [name, link] of this.#links) {
      if (name === place) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }

  #makeBanner() {
    const banner = make('div', { id: 'connection-banner', role: 'status' });
    const show = () => {
      banner.textContent = connection.isLost ? t('connection.lost') : '';
      banner.hidden = !connection.isLost;
    };
    connection.addEventListener('change', show);
    show();
    return banner;
  }

  #makeNavigation() {
    const list = make('ul', { role: 'list' });
    for (const [place, hash, picture, words] of PLACES) {
      const link = make(
        'a',
        { href: hash, class: `to-${place}`, onclick: () => this.#again(hash) },
        icon(picture),
        make('span', {}, t(words)),
      );
      this.#links.set(place, link);
      list.append(make('li', {}, link));
    }
    const brand = make(
      'a',
      { href: '#/', class: 'brand', tabindex: -1, 'aria-hidden': 'true' },
      make('img', { src: '/web/icon.svg', alt: '', width: 36, height: 36 }),
      t('app.name'),
    );
    const login = make('a', { href: '#/login', class: 'button primary login-link' }, t('account.login'));
    const showLogin = () => {
      login.hidden = Boolean(session.viewer);
    };
    login.addEventListener('click', () => {
      login.href = loginHash();
    });
    session.addEventListener('change', showLogin);
    showLogin();
    return make(
      'nav',
      { class: 'places', 'aria-label': t('nav.main') },
      brand,
      list,
      make('div', { class: 'foot' }, login, makeSettings()),
    );
  }

  /**
   * Somebody asks for the place where they are: it begins anew.
   *
   * @param {string} hash
   */
  #again(hash) {
    if ((location.hash || '#/') === hash) this.dispatchEvent(new Event('again'));
  }

  #showUnread() {
    const link = this.#links.get('messages');
    const count = unread.total;
    link?.querySelectorAll('.badge, .unseen').forEach((element) => element.remove());
    if (!count) return;
    link?.append(
      make('b', { class: 'badge', 'aria-hidden': 'true' }, count > 99 ? '99+' : String(count)),
      make('span', { class: 'unseen' }, t('messages.unread', { count })),
    );
  }
}

customElements.define('app-shell', AppShell);
