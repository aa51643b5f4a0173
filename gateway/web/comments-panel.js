/** The comments of the video in view: beside it on a wide screen, over its lower part on a phone. */

import { addComment, deleteComment, listComments } from './api.js';
import { Composer } from './composer.js';
import { avatar, iconButton, make } from './dom.js';
import { markOf, watchMark } from './marks.js';
import { PagedList } from './paged-list.js';
import { loginHash } from './router.js';
import { session } from './session.js';
import { shortCount, t } from './texts.js';
import { tellError } from './toasts.js';

/**
 * @typedef {import('./objects.js').Comment} Comment
 * @typedef {import('./objects.js').Video} Video
 */

export class CommentsPanel extends HTMLElement {
  /** @type {Video | null} */
  #video = null;
  /** @type {PagedList<Comment> | null} */
  #list = null;

  /**
   * @param {object} handlers
   * @param {() => void} handlers.onClose
   * @param {() => void} handlers.onCount hears when the count of a video has changed
   */
  constructor({ onClose, onCount }) {
    super();
    this.onClose = onClose;
    this.onCount = onCount;
    this.heading = make('h2');
    this.place = make('div', { class: 'comments-place' });
    this.composer = new Composer({
      name: 'comment',
      label: t('comments.write'),
      send: t('comments.send'),
      onText: (text) => this.#add(text),
    });
  }

  connectedCallback() {
    if (this.hasChildNodes()) return;
    this.hidden = true;
    this.setAttribute('role', 'region');
    this.setAttribute('aria-label', t('comments.title'));
    this.addEventListener('keydown', (event) => event.key === 'Escape' && this.dismiss());
    this.append(
      make(
        'header',
        {},
        this.heading,
        iconButton('close', t('action.close'), { class: 'close', onclick: () => this.dismiss() }),
      ),
      this.place,
      this.#makeForm(),
    );
  }

  get isOpen() {
    return !this.hidden;
  }

  /** @param {Video} video */
  open(video) {
    this.hidden = false;
    if (video === this.#video) return;
    this.#video = video;
    this.composer.refusal.textContent = '';
    this.#showCount();
    this.#list = new PagedList({
      load: (cursor, signal) => listComments(video.id, cursor, signal),
      draw: (comment, signal) => this.#draw(comment, signal),
      empty: t('comments.empty'),
      kind: 'comments',
    });
    this.place.replaceChildren(this.#list);
  }

  close() {
    this.hidden = true;
    this.#video = null;
    this.place.replaceChildren();
  }

  /** The person closes it. */
  dismiss() {
    this.close();
    this.onClose();
  }

  focusFirst() {
    this.querySelector('button')?.focus();
  }

  /**
   * @param {Video} video
   * @param {number} change
   */
  #count(video, change) {
    video.comment_count += change;
    this.onCount();
    this.#showCount();
    this.#list?.countAgain();
  }

  #showCount() {
    this.heading.textContent = t('comments.count', { count: shortCount(this.#video?.comment_count ?? 0) });
  }

  #makeForm() {
    if (session.viewer) return this.composer.form;
    return make('p', { class: 'composer' }, make('a', { class: 'button', href: loginHash() }, t('comments.login')));
  }

  /** @param {string} text */
  async #add(text) {
    const video = this.#video;
    const list = this.#list;
    if (!video || !list) return;
    const shown = make('li', { class: 'comment is-pending' }, make('p', { class: 'content' }, text));
    list.list.prepend(shown);
    list.countAgain();
    try {
      shown.replaceWith(this.#draw(await addComment(video.id, text), list.signal));
      this.#count(video, 1);
    } catch (error) {
      shown.remove();
      list.countAgain();
      // Below another video the text would be somebody else's comment.
      if (video === this.#video) this.composer.refuse(text, error);
      else tellError(error);
    }
  }

  /**
   * @param {Comment} comment
   * @param {AbortSignal} signal
   */
  #draw(comment, signal) {
    const { user } = comment;
    const item = make(
      'li',
      { class: 'comment', 'data-comment-id': comment.id },
      make('a', { href: `#/user/${user.id}`, tabindex: -1, 'aria-hidden': 'true' }, avatar(user)),
      make(
        'div',
        { class: 'said' },
        make(
          'p',
          { class: 'byline' },
          make('a', { href: `#/user/${user.id}` }, user.name),
          make('span', {}, comment.create_date),
        ),
        make('p', { class: 'content' }, comment.content),
      ),
    );
    const actions = this.#makeLike(comment, signal);
    const mayDelete = session.isViewer(user.id) || session.isViewer(this.#video?.author.id ?? 0);
    if (mayDelete)
      actions.append(
        iconButton('trash', t('comments.delete'), {
          class: 'delete',
          onclick: () => this.#delete(comment, item),
        }),
      );
    item.append(actions);
    return item;
  }

  /**
   * @param {Comment} comment
   * @param {AbortSignal} signal
   */
  #makeLike(comment, signal) {
    const mark = markOf('comment', comment.id, comment.is_favorite, comment.like_count);
    const button = iconButton('heart', t('player.like'), { class: 'like', onclick: () => mark.toggle() });
    const count = make('span', { class: 'like-count' });
    watchMark(mark, signal, () => {
      button.setAttribute('aria-pressed', String(mark.isSet));
      count.textContent = mark.count ? shortCount(mark.count) : '';
    });
    return make('div', { class: 'comment-actions' }, button, count);
  }

  /**
   * @param {Comment} comment
   * @param {HTMLElement} item
   */
  async #delete(comment, item) {
    const video = this.#video;
    if (!video) return;
    const next = item.nextElementSibling;
    const { parentElement } = item;
    const hadFocus = item.contains(document.activeElement);
    const neighbour = next ?? item.previousElementSibling;
    item.remove();
    if (hadFocus) /** @type {HTMLElement} */ (neighbour ?? this).querySelector('button')?.focus();
    this.#count(video, -1);
    try {
      await deleteComment(video.id, comment.id);
    } catch (error) {
      parentElement?.insertBefore(item, next?.parentElement === parentElement ? next : null);
      this.#count(video, 1);
      tellError(error);
    }
  }
}

customElements.define('comments-panel', CommentsPanel);
