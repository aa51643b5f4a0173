/** The viewer's conversations: one with each friend. */

import { listPeople } from '../api.js';
import { make } from '../dom.js';
import { PagedList } from '../paged-list.js';
import { makePerson } from '../person-item.js';
import { session } from '../session.js';
import { t } from '../texts.js';
import { unread } from '../unread.js';
import { View } from './view.js';

/** @typedef {import('../objects.js').Friend} Friend */

const SENT = 1;

export class MessagesView extends View {
  show() {
    const viewerId = session.viewer?.user_id ?? 0;
    const list = new PagedList({
      load: (cursor, signal) => listPeople('friends', viewerId, cursor, signal),
      draw: (/** @type {Friend} */ friend) => this.#draw(friend),
      empty: t('messages.empty'),
      kind: 'people',
    });
    this.replaceChildren(make('h1', {}, t('messages.title')), list);
  }

  /** @param {Friend} friend */
  #draw(friend) {
    const badge = make('span', { class: 'unread', 'aria-hidden': 'true' });
    const spoken = make('span', { class: 'unseen' });
    const item = makePerson(friend, {
      href: `#/chat/${friend.id}`,
      words: lastWords(friend),
      beside: [badge, spoken],
    });
    const show = () => {
      const count = unread.countOf(friend.id);
      badge.hidden = !count;
      badge.textContent = String(count);
      spoken.textContent = count ? t('messages.unread', { count }) : '';
      const preview = item.querySelector('.hint');
      if (preview) preview.textContent = lastWords(unread.friends.get(friend.id) ?? friend);
    };
    unread.count(friend).catch((error) => console.info('unread messages were not counted', error));
    unread.addEventListener('change', show, { signal: this.signal });
    show();
    return item;
  }
}

/** @param {Friend} friend */
function lastWords(friend) {
  if (!friend.message) return t('messages.none-yet');
  return friend.msg_type === SENT ? t('messages.sent', { text: friend.message }) : friend.message;
}

customElements.define('messages-view', MessagesView);
