/** Publishing a video, and what became of the last ones. */

import { findUpload, listUploads, publish } from '../api.js';
import { icon, make } from '../dom.js';
import { describe } from '../errors.js';
import { PagedList } from '../paged-list.js';
import { pause } from '../pause.js';
import { session } from '../session.js';
import { shortTime, t } from '../texts.js';
import { tellError } from '../toasts.js';
import { View } from './view.js';

/** @typedef {import('../objects.js').Upload} Upload */

const LOOK_EVERY_MS = 1_000;
const BYTES_PER_MB = 1024 * 1024;

export class PublishView extends View {
  /** @type {File | null} */
  #file = null;
  #previewUrl = '';

  constructor() {
    super();
    this.input = make('input', {
      id: 'video-file',
      type: 'file',
      accept: 'video/*',
      onchange: () => this.#choose(this.input.files?.[0]),
    });
    this.chosen = make('p', { class: 'chosen', role: 'status' });
    this.preview = make('video', {
      class: 'preview',
      muted: true,
      controls: true,
      playsinline: true,
      hidden: true,
      'aria-label': t('publish.preview'),
    });
    this.titleInput = make('input', {
      id: 'title',
      required: true,
      autocomplete: 'off',
      placeholder: t('publish.name-hint'),
    });
    this.button = make('button', { class: 'primary' }, t('publish.submit'));
    this.progress = make('progress', {
      id: 'upload-progress',
      max: 100,
      value: 0,
      hidden: true,
      'aria-label': t('publish.submit'),
    });
    this.progressWords = make('p', { class: 'hint', role: 'status' });
    this.refusal = make('p', { role: 'alert', class: 'refusal' });
  }

  show() {
    const { signal } = this;
    signal.addEventListener('abort', () => URL.revokeObjectURL(this.#previewUrl));
    this.uploads = new PagedList({
      load: listUploads,
      draw: (/** @type {Upload} */ upload, listSignal) => this.#draw(upload, listSignal),
      empty: t('publish.none'),
      kind: 'uploads',
    });
    const form = make(
      'form',
      { id: 'publish-form', class: 'fields', onsubmit: (/** @type {Event} */ event) => this.#submit(event) },
      this.#makeDropZone(),
      make('label', { for: 'title' }, t('publish.name')),
      this.titleInput,
      this.progress,
      this.progressWords,
      this.refusal,
      this.button,
    );
    this.replaceChildren(
      make('h1', {}, t('publish.title')),
      form,
      make('section', { 'aria-labelledby': 'recent' }, make('h2', { id: 'recent' }, t('publish.recent')), this.uploads),
    );
  }

  #makeDropZone() {
    const label = make('label', { for: 'video-file', class: 'button' }, icon('film'), t('publish.choose'));
    const zone = make(
      'div',
      { class: 'drop-zone' },
      this.input,
      this.preview,
      label,
      make('p', { class: 'hint' }, t('publish.drop')),
      this.chosen,
    );
    this.#takeDrops(zone);
    return zone;
  }

  /**
   * Take a file that is dropped anywhere: beside the zone the browser would leave the page for it.
   *
   * @param {HTMLElement} zone shows that something is over the page
   */
  #takeDrops(zone) {
    /** @type {(name: 'dragover' | 'dragleave' | 'drop', isOver: boolean) => void} */
    const follow = (name, isOver) =>
      document.addEventListener(
        name,
        (event) => {
          if (!event.dataTransfer?.types.includes('Files')) return;
          event.preventDefault();
          zone.classList.toggle('is-over', isOver);
          if (name === 'drop') this.#choose(event.dataTransfer.files[0]);
        },
        { signal: this.signal },
      );
    follow('dragover', true);
    follow('dragleave', false);
    follow('drop', false);
  }

  /** @param {File | undefined} file */
  #choose(file) {
    if (!file) return;
    this.#file = file;
    this.refusal.textContent = '';
    this.chosen.textContent = t('publish.chosen', { name: file.name, size: (file.size / BYTES_PER_MB).toFixed(1) });
    URL.revokeObjectURL(this.#previewUrl);
    this.#previewUrl = URL.createObjectURL(file);
    this.preview.src = this.#previewUrl;
    this.preview.hidden = false;
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    if (!this.#file) {
      this.refusal.textContent = t('publish.no-file');
      return;
    }
    this.refusal.textContent = '';
    this.#showSending(true);
    const title = this.titleInput.value;
    try {
      const videoId = await publish(this.#file, title, (sent) => this.#showProgress(sent));
      this.#prepend({
        video_id: videoId,
        title,
        status: 'processing',
        reason: '',
        create_time: Date.now(),
        progress: 0,
        queue_position: 0,
      });
      this.#forget();
    } catch (error) {
      // Somebody who went elsewhere meanwhile is told there.
      if (this.isConnected) this.refusal.textContent = describe(error);
      else tellError(error);
    } finally {
      this.#showSending(false);
    }
  }

  /** @param {boolean} isSending */
  #showSending(isSending) {
    this.button.disabled = isSending;
    this.progress.hidden = !isSending;
    this.progressWords.textContent = '';
  }

  /** @param {number} sent */
  #showProgress(sent) {
    const percent = Math.round(sent * 100);
    this.progress.value = percent;
    this.progressWords.textContent = percent < 100 ? t('publish.sending', { percent }) : t('publish.sent');
  }

  /** Make the form ready for the next video. */
  #forget() {
    this.#file = null;
    this.input.value = this.titleInput.value = this.chosen.textContent = '';
    this.preview.hidden = true;
    this.preview.removeAttribute('src');
  }

  /** @param {Upload} upload */
  #prepend(upload) {
    if (!this.uploads?.isConnected) return;
    this.uploads.list.prepend(this.#draw(upload, this.uploads.signal));
    this.uploads.countAgain();
  }

  /**
   * @param {Upload} upload
   * @param {AbortSignal} signal
   */
  #draw(upload, signal) {
    const state = make('span', { class: 'upload-state', role: 'status' });
    const item = make(
      'li',
      { class: 'upload', 'data-video-id': upload.video_id },
      make('div', {}, make('strong', {}, upload.title), make('time', { class: 'hint' }, shortTime(upload.create_time))),
      state,
    );
    this.#watch(upload, item, state, signal);
    return item;
  }

  /**
   * Show an upload, and look at it again until it is published or refused.
   *
   * @param {Upload} upload
   * @param {HTMLElement} item
   * @param {HTMLElement} state
   * @param {AbortSignal} signal
   */
  async #watch(upload, item, state, signal) {
    for (let latest = upload; ;) {
      item.dataset.status = latest.status;
      state.textContent = wordsOf(latest);
      if (latest.status === 'published') {
        item.append(
          make(
            'a',
            { class: 'button', href: `#/user/${session.viewer?.user_id}/works/${latest.video_id}` },
            t('publish.watch'),
          ),
        );
      }
      if (latest.status !== 'processing') return;
      try {
        await pause(LOOK_EVERY_MS, signal);
        latest = (await findUpload(latest.video_id, signal)) ?? latest;
      } catch (error) {
        if (signal.aborted) return;
        // It is asked again: only the words of this look are lost.
        state.textContent = describe(error);
      }
    }
  }
}

/** @param {Upload} upload */
function wordsOf({ status, reason, progress, queue_position: place }) {
  if (status === 'failed') return t('publish.failed', { reason });
  if (status === 'published') return t('publish.published');
  return place > 0 ? t('publish.waiting', { count: place - 1 }) : t('publish.processing', { percent: progress });
}

customElements.define('publish-view', PublishView);
