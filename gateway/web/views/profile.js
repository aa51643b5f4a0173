/** Somebody's page: who they are, their works and their likes. */

import { getUser, listVideos } from '../api.js';
import { avatar, icon, make } from '../dom.js';
import { followButton } from '../follow-button.js';
import { LoadState } from '../load-state.js';
import { markOf, watchMark } from '../marks.js';
import { PagedList } from '../paged-list.js';
import { session } from '../session.js';
import { makeSettings } from '../settings.js';
import { shortCount, t } from '../texts.js';
import { View } from './view.js';

/**
 * @typedef {import('../objects.js').User} User
 * @typedef {import('../objects.js').Video} Video
 */

export class ProfileView extends View {
  /** @param {import('../router.js').Route} route */
  constructor(route) {
    super();
    this.userId = route.id;
    /** @type {'works' | 'likes'} */
    this.tab = route.part === 'likes' ? 'likes' : 'works';
    this.state = new LoadState(() => this.show());
  }

  async show() {
    this.replaceChildren(make('h1', { class: 'unseen' }, t('profile.title')), this.state);
    const { signal } = this;
    const user = await this.state.during(() => getUser(this.userId, signal));
    if (user && !signal.aborted) this.replaceChildren(this.#makeHead(user), this.#makeTabs(), this.#makeWorks());
  }

  /** @param {User} user */
  #makeHead(user) {
    const background = make('img', { class: 'profile-background', src: user.background_image, alt: '' });
    const isOwn = session.isViewer(user.id);
    const actions = make('div', { class: 'profile-actions' });
    if (isOwn)
      actions.append(
        make('button', { type: 'button', class: 'quiet', onclick: () => session.end() }, t('account.logout')),
        makeSettings(),
      );
    else
      actions.append(
        followButton(user, this.signal),
        make('a', { class: 'button', href: `#/chat/${user.id}` }, icon('chat'), t('profile.message')),
      );
    return make(
      'header',
      { class: 'profile-head' },
      background,
      avatar(user),
      make('h1', {}, user.name),
      make('p', { class: 'signature' }, user.signature || t('profile.no-signature')),
      this.#makeCounts(user, isOwn),
      actions,
    );
  }

  /**
   * @param {User} user
   * @param {boolean} isOwn
   */
  #makeCounts(user, isOwn) {
    const counts = make('ul', { class: 'counts', role: 'list' });
    const followers = make('strong');
    const mark = markOf('follow', user.id, user.is_follow, user.follower_count);
    watchMark(mark, this.signal, () => {
      followers.textContent = shortCount(mark.count);
    });
    const link = (/** @type {string} */ part, /** @type {string} */ words, /** @type {Node | string} */ count) =>
      counts.append(make('li', {}, make('a', { href: `#/user/${user.id}/${part}` }, count, words)));
    link('following', t('profile.following'), make('strong', {}, shortCount(user.follow_count)));
    link('followers', t('profile.followers'), followers);
    if (isOwn) link('friends', t('profile.friends'), icon('friends'));
    counts.append(make('li', {}, make('strong', {}, shortCount(user.total_favorited)), t('profile.likes-received')));
    return counts;
  }

  #makeTabs() {
    const tab = (/** @type {'works' | 'likes'} */ part) =>
      make(
        'a',
        { href: `#/user/${this.userId}/${part}`, 'aria-current': part === this.tab ? 'page' : null },
        t(`profile.${part}`),
      );
    return make('nav', { class: 'tabs', 'aria-label': t('profile.title') }, tab('works'), tab('likes'));
  }

  #makeWorks() {
    return new PagedList({
      load: (cursor, signal) => listVideos(this.tab, this.userId, cursor, signal),
      draw: (/** @type {Video} */ video) => this.#drawWork(video),
      empty: t(this.tab === 'works' ? 'profile.no-works' : 'profile.no-likes'),
      kind: 'works',
    });
  }

  /** @param {Video} video */
  #drawWork(video) {
    const likes = make(
      'span',
      { class: 'work-likes', 'aria-hidden': 'true' },
      icon('heart'),
      shortCount(video.favorite_count),
    );
    return make(
      'li',
      {},
      make(
        'a',
        { class: 'work', href: `#/user/${this.userId}/${this.tab}/${video.id}`, 'aria-label': video.title },
        make('img', { src: video.cover_url, alt: '', loading: 'lazy' }),
        likes,
      ),
    );
  }
}

customElements.define('profile-view', ProfileView);
