/** Videos one below the other, each as tall as the screen: what is in view plays, its neighbours are loaded. */

import { CommentsPanel } from './comments-panel.js';
import { iconButton, make, prefersReducedMotion } from './dom.js';
import { LoadState } from './load-state.js';
import { VideoPlayer } from './player.js';
import { sound } from './sound.js';
import { t } from './texts.js';

/** @typedef {import('./objects.js').Video} Video */

const PRELOADED_AHEAD = 2;
const KEPT_BEHIND = 1;
// So many videos before the end more are asked for.
const MARGIN = 4;
const SEEK_S = 5;
// Every arrow moves a slider that has the focus.
/** @type {Record<string, string>} */
const SLIDER_KEYS = { ArrowUp: 'ArrowRight', ArrowDown: 'ArrowLeft' };

export class VideoReel extends HTMLElement {
  #leaving = new AbortController();
  #isLoading = false;
  #isAtEnd = false;
  /** @type {VideoPlayer[]} */
  #players = [];
  #shown = -1;

  /**
   * @param {object} options
   * @param {(signal: AbortSignal) => Promise<Video[]>} options.loadMore the next videos; none at the end
   * @param {Node} options.empty what stands there when there are none at all
   * @param {number} [options.firstId] the video with which to begin, among the first that are loaded
   */
  constructor({ loadMore, empty, firstId = 0 }) {
    super();
    this.loadMore = loadMore;
    this.empty = empty;
    this.firstId = firstId;
    this.track = make('div', { class: 'track', tabindex: -1 });
    this.comments = new CommentsPanel({
      onClose: () => this.#closeComments(),
      onCount: () => this.#players.forEach((player) => player.showCommentCount()),
    });
    this.state = new LoadState(() => this.#extend());
  }

  connectedCallback() {
    this.#leaving = new AbortController();
    const { signal } = this.#leaving;
    if (!this.hasChildNodes())
      this.append(make('div', { class: 'stage' }, this.track, this.#makeArrows()), this.comments);
    this.observer = new IntersectionObserver((entries) => this.#see(entries), { root: this.track, threshold: 0.6 });
    for (const player of this.#players) this.observer.observe(player);
    document.addEventListener('keydown', (event) => this.#press(event), { signal });
    if (!this.#players.length) {
      this.track.append(this.state);
      this.#extend();
    } else this.#players[this.#shown]?.scrollIntoView({ behavior: 'instant' });
  }

  disconnectedCallback() {
    this.#leaving.abort();
    this.observer?.disconnect();
    this.comments.close();
    for (const player of this.#players) player.setDistance('far');
  }

  /** The player in view. */
  get shown() {
    return this.#players[this.#shown];
  }

  /** @param {number} step 1: the next video, -1: the one before */
  move(step) {
    const index = this.#shown + step;
    if (!this.#players[index]) return;
    this.#players[index].scrollIntoView({ behavior: prefersReducedMotion() ? 'instant' : 'smooth' });
    // Before it has arrived, so that two quick steps go two videos far.
    this.#show(index);
  }

  async #extend() {
    if (this.#isLoading || this.#isAtEnd) return;
    this.#isLoading = true;
    const { signal } = this.#leaving;
    const videos = await this.state.during(() => this.loadMore(signal));
    this.#isLoading = false;
    if (!videos || signal.aborted) return;
    this.#isAtEnd = !videos.length;
    this.#add(videos);
    if (!this.#players.length) this.track.replaceChildren(this.empty);
  }

  /** @param {Video[]} videos */
  #add(videos) {
    const isFirst = !this.#players.length;
    for (const video of videos) {
      const player = new VideoPlayer(video, () => this.toggleComments());
      this.#players.push(player);
      this.state.before(player);
      this.observer?.observe(player);
    }
    if (!isFirst || !videos.length) return;
    const index = Math.max(
      0,
      videos.findIndex((video) => video.id === this.firstId),
    );
    this.#players[index].scrollIntoView({ behavior: 'instant' });
    this.#show(index);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #see(entries) {
    const entry = entries.findLast((candidate) => candidate.isIntersecting);
    if (entry) this.#show(this.#players.indexOf(/** @type {VideoPlayer} */ (entry.target)));
  }

  /** @param {number} index */
  #show(index) {
    if (index < 0) return;
    this.#shown = index;
    this.#players.forEach((player, at) => {
      const ahead = at - index;
      player.setDistance(ahead === 0 ? 'shown' : ahead >= -KEPT_BEHIND && ahead <= PRELOADED_AHEAD ? 'near' : 'far');
      player.inert = ahead !== 0;
    });
    if (this.comments.isOpen) this.comments.open(this.#players[index].video);
    this.#showExpanded();
    if (index >= this.#players.length - MARGIN) this.#extend();
  }

  toggleComments() {
    if (!this.shown) return;
    if (this.comments.isOpen) return this.comments.dismiss();
    this.comments.open(this.shown.video);
    this.comments.focusFirst();
    this.#showExpanded();
  }

  #closeComments() {
    this.#showExpanded();
    this.shown?.commentButton.focus();
  }

  #showExpanded() {
    this.classList.toggle('has-comments', this.comments.isOpen);
    this.shown?.commentButton.setAttribute('aria-expanded', String(this.comments.isOpen));
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const target = /** @type {Element} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches('textarea, input:not(.position)')) return;
    // A focused control has its own use of the space bar and of the arrows.
    if (event.key === ' ' && target.matches('button, a')) return;
    const act = this.#actionOf((target.matches('.position') && SLIDER_KEYS[event.key]) || event.key);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /**
   * @param {string} key
   * @returns {(() => void) | undefined}
   */
  #actionOf(key) {
    /** @type {Record<string, () => void>} */
    const actions = {
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      ArrowRight: () => this.shown?.seekBy(SEEK_S),
      ArrowLeft: () => this.shown?.seekBy(-SEEK_S),
      ' ': () => this.shown?.togglePlaying(),
      l: () => this.shown?.like.toggle(),
      m: () => sound.toggle(),
      c: () => this.toggleComments(),
    };
    return actions[key.length === 1 ? key.toLowerCase() : key];
  }

  #makeArrows() {
    return make(
      'div',
      { class: 'arrows' },
      iconButton('up', t('feed.previous'), { 'aria-keyshortcuts': 'ArrowUp', onclick: () => this.move(-1) }),
      iconButton('down', t('feed.next'), { 'aria-keyshortcuts': 'ArrowDown', onclick: () => this.move(1) }),
    );
  }
}

customElements.define('video-reel', VideoReel);
