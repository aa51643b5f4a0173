/** The works or the likes of somebody, played one after the other, beginning with one of them. */

import { getUser, listVideos } from '../api.js';
import { iconButton, make } from '../dom.js';
import { VideoReel } from '../reel.js';
import { t } from '../texts.js';
import { View } from './view.js';

export class PlaylistView extends View {
  #cursor = '';
  #isDone = false;

  /** @param {import('../router.js').Route} route */
  constructor(route) {
    super();
    this.route = route;
    this.heading = make('h1', { class: 'unseen' }, t('profile.works'));
  }

  show() {
    const { id, part, videoId } = this.route;
    const reel = new VideoReel({
      loadMore: (signal) => this.#loadMore(signal),
      empty: make('p', { class: 'blank' }, t('profile.no-works')),
      firstId: videoId,
    });
    const back = iconButton('back', t('action.back'), {
      class: 'back on-video',
      onclick: () => {
        location.hash = `#/user/${id}/${part}`;
      },
    });
    this.replaceChildren(this.heading, back, reel);
  }

  /**
   * Load the next page; at first all of them up to the video with which to begin.
   *
   * @param {AbortSignal} signal
   */
  async #loadMore(signal) {
    const { id, part, videoId } = this.route;
    const isFirst = !this.#cursor;
    const videos = [];
    while (!this.#isDone) {
      const page = await listVideos(part === 'likes' ? 'likes' : 'works', id, this.#cursor, signal);
      videos.push(...page.items);
      this.#cursor = page.next;
      this.#isDone = !page.next;
      if (!isFirst || videos.some((video) => video.id === videoId)) break;
    }
    if (isFirst) this.heading.textContent = t('playlist.title', { name: (await getUser(id, signal)).name });
    return videos;
  }
}

customElements.define('playlist-view', PlaylistView);
