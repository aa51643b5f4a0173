/** Whom somebody follows, who follows them, and their friends. */

import { listPeople } from '../api.js';
import { make } from '../dom.js';
import { followButton } from '../follow-button.js';
import { PagedList } from '../paged-list.js';
import { makePerson } from '../person-item.js';
import { session } from '../session.js';
import { t } from '../texts.js';
import { View } from './view.js';

/** @typedef {import('../api.js').PeopleKind} PeopleKind */

export class PeopleView extends View {
  /** @param {import('../router.js').Route} route */
  constructor(route) {
    super();
    this.userId = route.id;
    this.kind = /** @type {PeopleKind} */ (route.part);
  }

  show() {
    const list = new PagedList({
      load: (cursor, signal) => listPeople(this.kind, this.userId, cursor, signal),
      draw: (user, signal) =>
        makePerson(user, {
          href: `#/user/${user.id}`,
          words: user.signature,
          beside: [followButton(user, signal)],
        }),
      empty: t('people.empty'),
      kind: 'people',
    });
    this.replaceChildren(make('h1', {}, t(`profile.${this.kind}`)), this.#makeTabs(), list);
  }

  #makeTabs() {
    /** @type {PeopleKind[]} */
    const kinds = session.isViewer(this.userId) ? ['friends', 'following', 'followers'] : ['following', 'followers'];
    const tabs = kinds.map((kind) =>
      make(
        'a',
        { href: `#/user/${this.userId}/${kind}`, 'aria-current': kind === this.kind ? 'page' : null },
        t(`profile.${kind}`),
      ),
    );
    return make('nav', { class: 'tabs', 'aria-label': t('nav.friends') }, ...tabs);
  }
}

customElements.define('people-view', PeopleView);
