/** The feed: everything that was published, newest first, without an end. */

import { loadFeed } from '../api.js';
import { make } from '../dom.js';
import { VideoReel } from '../reel.js';
import { t } from '../texts.js';
import { View } from './view.js';

export class FeedView extends View {
  #latestTime = 0;
  #reel = new VideoReel({ loadMore: (signal) => this.#loadMore(signal), empty: makeEmpty() });

  show() {
    if (!this.hasChildNodes()) this.append(make('h1', { class: 'unseen' }, t('feed.title')), this.#reel);
  }

  /**
   * Load the next page; after the oldest video the walk begins anew.
   *
   * @param {AbortSignal} signal
   */
  async #loadMore(signal) {
    const page = await loadFeed(this.#latestTime, signal);
    this.#latestTime = page.nextTime;
    if (page.videos.length || !this.#reel.shown) return page.videos;
    const fromTheTop = await loadFeed(0, signal);
    this.#latestTime = fromTheTop.nextTime;
    return fromTheTop.videos;
  }
}

function makeEmpty() {
  return make(
    'div',
    { class: 'blank' },
    make('p', {}, t('feed.empty')),
    make('a', { class: 'button', href: '#/publish' }, t('feed.empty-hint')),
  );
}

customElements.define('feed-view', FeedView);
