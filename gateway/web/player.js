/** One video with everything that lies upon it. The reel tells it how near it is to the eye. */

import { connection } from './connection.js';
import { avatar, changeIcon, icon, iconButton, make } from './dom.js';
import { followButton } from './follow-button.js';
import { markOf, watchMark } from './marks.js';
import { session } from './session.js';
import { sound } from './sound.js';
import { clock, shortCount, shortTime, t } from './texts.js';

/** @typedef {'shown' | 'near' | 'far'} Distance shown: it plays; near: its file is loaded; far: nothing is held of it */

const STEPS = 1000;
// Longer, and a tap feels slow; shorter, and a double tap is missed.
const DOUBLE_TAP_MS = 260;
const WIDE = 0.75;

export class VideoPlayer extends HTMLElement {
  #leaving = new AbortController();
  #isPausedByPerson = false;
  #tapTimer = 0;
  #frame = 0;
  /** @type {Distance} */
  #distance = 'far';

  /**
   * @param {import('./objects.js').Video} video
   * @param {() => void} onComments
   */
  constructor(video, onComments) {
    super();
    this.video = video;
    this.like = markOf('like', video.id, video.is_favorite, video.favorite_count);
    this.film = make('video', { class: 'film', playsinline: true, loop: true, preload: 'none', tabindex: -1 });
    this.backdrop = make('img', { class: 'backdrop', alt: '' });
    this.surface = make('button', { type: 'button', class: 'surface', 'aria-keyshortcuts': 'Space' }, icon('play'));
    this.position = make('input', {
      type: 'range',
      class: 'position',
      min: 0,
      max: STEPS,
      value: 0,
      'aria-label': t('player.position'),
    });
    this.trouble = make('p', { class: 'trouble', role: 'status' });
    this.commentCount = make('span', { class: 'comment-count' });
    this.commentButton = iconButton('comment', t('player.comments'), {
      class: 'rail-button',
      'aria-expanded': 'false',
      'aria-keyshortcuts': 'C',
      onclick: onComments,
    });
  }

  connectedCallback() {
    this.#leaving = new AbortController();
    this.dataset.videoId = String(this.video.id);
    this.setAttribute('role', 'article');
    this.setAttribute('aria-label', this.video.title);
    this.replaceChildren(
      this.backdrop,
      this.film,
      this.surface,
      this.trouble,
      this.#makeRail(),
      this.#makeCaption(),
      this.position,
    );
    this.#watch();
    this.#showPlaying();
    this.showCommentCount();
  }

  disconnectedCallback() {
    this.#leaving.abort();
    this.setDistance('far');
  }

  /** @param {Distance} distance */
  setDistance(distance) {
    if (distance === this.#distance) return;
    this.#distance = distance;
    this.classList.toggle('is-active', distance === 'shown');
    if (distance === 'far') return this.#unload();
    this.#load();
    if (distance === 'shown') {
      this.#isPausedByPerson = false;
      return this.play();
    }
    this.film.pause();
    if (this.film.readyState) this.film.currentTime = 0;
  }

  async play() {
    this.film.muted = !sound.isOn;
    try {
      await this.film.play();
    } catch (error) {
      // Without a tap before it, a browser refuses sound, not the picture.
      if (error instanceof DOMException && error.name === 'NotAllowedError' && sound.isOn) sound.giveUp();
      // Another reason (it was paused meanwhile, or cannot be loaded) is told by the events of the film.
    }
  }

  togglePlaying() {
    this.#isPausedByPerson = !this.film.paused;
    if (this.film.paused) this.play();
    else this.film.pause();
  }

  /** @param {number} seconds forward, or back */
  seekBy(seconds) {
    const { duration, currentTime } = this.film;
    if (duration) this.film.currentTime = Math.min(Math.max(currentTime + seconds, 0), duration - 0.05);
  }

  showCommentCount() {
    this.commentCount.textContent = shortCount(this.video.comment_count);
  }

  #load() {
    this.backdrop.src = this.film.poster = this.video.cover_url;
    this.film.preload = 'auto';
    if (!this.film.getAttribute('src')) this.film.src = this.video.play_url;
  }

  #unload() {
    this.film.pause();
    if (!this.film.getAttribute('src')) return;
    this.film.removeAttribute('src');
    // Lets go of what was loaded.
    this.film.load();
  }

  #watch() {
    const { signal } = this.#leaving;
    /** @type {(target: EventTarget, name: string, handle: () => void) => void} */
    const on = (target, name, handle) => target.addEventListener(name, handle, { signal });
    on(this.film, 'play', () => this.#showPlaying());
    on(this.film, 'pause', () => this.#showPlaying());
    on(this.film, 'playing', () => this.#tellTrouble(''));
    on(this.film, 'seeked', () => this.#showPosition());
    on(this.film, 'error', () => this.#fail());
    on(this.backdrop, 'load', () =>
      this.classList.toggle('is-wide', this.backdrop.naturalWidth > this.backdrop.naturalHeight * WIDE),
    );
    on(this.position, 'input', () => this.#seek());
    // Who seeks by finger or mouse does not mean to stay: arrows lead to the next video again.
    on(this.position, 'pointerdown', () =>
      document.addEventListener('pointerup', () => this.position.blur(), { once: true, signal }),
    );
    this.surface.addEventListener('click', (event) => this.#tap(event), { signal });
    on(sound, 'change', () => {
      this.film.muted = !sound.isOn;
    });
    on(document, 'visibilitychange', () => this.#followPage());
    on(connection, 'change', () => this.#followConnection());
  }

  /** @param {MouseEvent} event */
  #tap(event) {
    // A key has no double tap.
    if (event.detail === 0) return this.togglePlaying();
    if (this.#tapTimer) {
      clearTimeout(this.#tapTimer);
      this.#tapTimer = 0;
      if (session.viewer) this.#burst();
      this.like.wish(true);
      return;
    }
    this.#tapTimer = setTimeout(() => {
      this.#tapTimer = 0;
      this.togglePlaying();
    }, DOUBLE_TAP_MS);
  }

  /** A heart for a double tap; the style sheet keeps it still for those who want less motion. */
  #burst() {
    const heart = make('span', { class: 'burst' }, icon('heart'));
    this.append(heart);
    heart.addEventListener('animationend', () => heart.remove());
  }

  #seek() {
    const { duration } = this.film;
    if (duration) this.film.currentTime = (Number(this.position.value) / STEPS) * duration;
  }

  #showPlaying() {
    const isPaused = this.film.paused;
    const words = t(isPaused ? 'player.play' : 'player.pause');
    this.surface.setAttribute('aria-label', words);
    this.classList.toggle('is-paused', isPaused && this.#isPausedByPerson);
    cancelAnimationFrame(this.#frame);
    this.#showPosition();
  }

  #showPosition() {
    const { currentTime, duration, paused } = this.film;
    const part = duration ? currentTime / duration : 0;
    this.position.value = String(Math.round(part * STEPS));
    this.position.style.setProperty('--part', String(part));
    const words = t('player.position-of', { position: clock(currentTime), duration: clock(duration) });
    if (this.position.getAttribute('aria-valuetext') !== words) this.position.setAttribute('aria-valuetext', words);
    if (!paused) this.#frame = requestAnimationFrame(() => this.#showPosition());
  }

  #followPage() {
    if (this.#distance !== 'shown') return;
    if (document.hidden) this.film.pause();
    else if (!this.#isPausedByPerson) this.play();
  }

  /** The film cannot be loaded: because of the connection, or because of itself. */
  async #fail() {
    if (!this.film.getAttribute('src')) return;
    await connection.check();
    if (!connection.isLost) this.#tellTrouble(t('player.broken'));
  }

  #followConnection() {
    if (connection.isLost || !this.film.error) return;
    const { currentTime } = this.film;
    this.film.load();
    this.film.currentTime = currentTime;
    if (this.#distance === 'shown') this.play();
  }

  /** @param {string} words */
  #tellTrouble(words) {
    this.trouble.textContent = words;
  }

  #makeCaption() {
    const { author, title, create_time } = this.video;
    const name = make('a', { class: 'author', href: `#/user/${author.id}` }, `@${author.name}`);
    const time = make('time', { datetime: new Date(create_time).toISOString() }, shortTime(create_time));
    return make(
      'div',
      { class: 'caption' },
      make('p', { class: 'byline' }, name, time),
      make('p', { class: 'title' }, title),
    );
  }

  #makeRail() {
    const { author } = this.video;
    const portrait = make(
      'a',
      { class: 'portrait', href: `#/user/${author.id}`, 'aria-label': author.name },
      avatar(author),
    );
    return make(
      'div',
      { class: 'rail' },
      make('div', { class: 'who' }, portrait, followButton(author, this.#leaving.signal)),
      this.#makeLikeButton(),
      make('div', { class: 'rail-item' }, this.commentButton, this.commentCount),
      this.#makeSoundButton(),
    );
  }

  #makeLikeButton() {
    const count = make('span', { class: 'like-count' });
    const button = iconButton('heart', t('player.like'), {
      class: 'rail-button like',
      'aria-keyshortcuts': 'L',
      onclick: () => this.like.toggle(),
    });
    watchMark(this.like, this.#leaving.signal, () => {
      button.setAttribute('aria-pressed', String(this.like.isSet));
      count.textContent = shortCount(this.like.count);
    });
    return make('div', { class: 'rail-item' }, button, count);
  }

  #makeSoundButton() {
    const button = iconButton('muted', '', {
      class: 'rail-button',
      'aria-keyshortcuts': 'M',
      onclick: () => sound.toggle(),
    });
    const show = () => {
      const words = t(sound.isOn ? 'player.sound-off' : 'player.sound-on');
      button.setAttribute('aria-label', words);
      button.title = words;
      changeIcon(button, sound.isOn ? 'sound' : 'muted');
    };
    sound.addEventListener('change', show, { signal: this.#leaving.signal });
    show();
    return make('div', { class: 'rail-item' }, button);
  }
}

customElements.define('video-player', VideoPlayer);
