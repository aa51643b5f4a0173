/** A conversation with one person. */

import { getUser, listMessages, sendMessage } from '../api.js';
import { avatar, icon, make } from '../dom.js';
import { describe } from '../errors.js';
import { LoadState } from '../load-state.js';
import { MessageStream } from '../message-stream.js';
import { session } from '../session.js';
import { shortTime, t } from '../texts.js';
import { unread } from '../unread.js';
import { View } from './view.js';

/**
 * @typedef {import('../objects.js').Message} Message
 * @typedef {import('../message-stream.js').StreamState} StreamState
 */

const PAGE = 30;
// What the product tells of a conversation at most.
const HISTORY = 100;
const NEAR_END_PX = 120;

export class ChatView extends View {
  /** @type {Message[]} what is not drawn yet, oldest first */
  #earlier = [];
  #isCut = false;
  /** @type {Set<number>} */
  #drawn = new Set();

  /** @param {number} userId the other person */
  constructor(userId) {
    super();
    this.userId = userId;
    this.state = new LoadState(() => this.show());
    this.log = make('ol', { id: 'messages', role: 'log', tabindex: 0 });
    this.more = make('button', { type: 'button', class: 'quiet', onclick: () => this.#drawEarlier() }, t('chat.earlier'));
    this.nothing = make('p', { class: 'empty' }, t('chat.empty'));
    this.text = make('textarea', { id: 'message-text', rows: 1, required: true, 'aria-label': t('chat.write'), placeholder: t('chat.write') });
    this.refusal = make('p', { role: 'alert', class: 'refusal' });
    this.link = make('span', { class: 'chat-connection', role: 'status' });
  }

  async show() {
    this.replaceChildren(make('h1', { class: 'unseen' }, t('messages.title')), this.state);
    const { signal } = this;
    const loaded = await this.state.during(() => Promise.all([getUser(this.userId, signal), listMessages(this.userId, 0, signal)]));
    if (!loaded || signal.aborted) return;
    const [user, messages] = loaded;
    this.#earlier = messages;
    this.#isCut = messages.length >= HISTORY;
    this.log.setAttribute('aria-label', t('chat.log', { name: user.name }));
    const scroll = make('div', { class: 'chat-scroll' }, this.more, this.nothing, this.log);
    this.replaceChildren(this.#makeHead(user), scroll, this.#makeForm());
    scroll.addEventListener('scroll', () => scroll.scrollTop === 0 && this.#drawEarlier(), { signal });
    this.#drawEarlier();
    scroll.scrollTop = scroll.scrollHeight;
    this.text.focus();
    await this.#follow(messages, signal);
  }

  /**
   * @param {Message[]} messages
   * @param {AbortSignal} signal
   */
  async #follow(messages, signal) {
    const last = messages.findLast((message) => message.from_user_id === this.userId);
    if (last) unread.see(this.userId, last.create_time);
    const stream = new MessageStream({
      userId: this.userId,
      since: last?.create_time ?? 0,
      onMessage: (message) => this.#receive(message),
      onState: (state) => this.#showState(state),
    });
    await stream.run(signal);
  }

  /** Draw the page of history before what is drawn, and stay where the person looks. */
  #drawEarlier() {
    const scroll = this.log.parentElement;
    const heightBefore = scroll?.scrollHeight ?? 0;
    const page = this.#earlier.splice(-PAGE);
    this.log.prepend(...page.map((message) => this.#draw(message)));
    this.more.hidden = !this.#earlier.length;
    this.nothing.hidden = this.log.childElementCount > 0;
    if (!this.#earlier.length && this.#isCut) {
      this.#isCut = false;
      this.more.after(make('p', { class: 'hint' }, t('chat.beginning')));
    }
    if (scroll) scroll.scrollTop += scroll.scrollHeight - heightBefore;
  }

  /** @param {Message} message */
  #receive(message) {
    if (this.#drawn.has(message.id)) return;
    this.#append(this.#draw(message));
    unread.see(this.userId, message.create_time);
  }

  /** @param {Message} message */
  #draw(message) {
    this.#drawn.add(message.id);
    return makeMessage(message.content, shortTime(message.create_time), message.from_user_id !== this.userId);
  }

  /** @param {HTMLElement} item */
  #append(item) {
    const scroll = this.log.parentElement;
    const isAtEnd = !scroll || scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END_PX;
    this.log.append(item);
    this.nothing.hidden = true;
    if (scroll && (isAtEnd || item.dataset.mine === 'true')) scroll.scrollTop = scroll.scrollHeight;
  }

  /** @param {StreamState} state */
  #showState(state) {
    this.link.dataset.state = state;
    this.link.textContent = t(`chat.${state}`);
  }

  /** @param {import('../objects.js').User} user */
  #makeHead(user) {
    const back = make('a', { href: '#/messages', class: 'back', 'aria-label': t('action.back') }, icon('back'));
    const who = make('a', { href: `#/user/${user.id}`, class: 'chat-who' }, avatar(user), make('h1', {}, user.name));
    return make('header', { class: 'chat-head' }, back, who, this.link);
  }

  #makeForm() {
    const form = make('form', { id: 'message-form', class: 'composer', onsubmit: (/** @type {Event} */ event) => this.#send(event) },
      this.refusal, this.text, make('button', { class: 'send', 'aria-label': t('chat.send'), title: t('chat.send') }, icon('send')));
    this.text.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    return form;
  }

  /** @param {Event} event */
  async #send(event) {
    event.preventDefault();
    if (!session.viewer) return;
    const text = this.text.value;
    const item = makeMessage(text, t('chat.sending'), true);
    item.dataset.state = 'sending';
    this.text.value = '';
    this.refusal.textContent = '';
    this.#append(item);
    try {
      await sendMessage(this.userId, text);
      item.dataset.state = 'sent';
      item.querySelector('time')?.replaceChildren(shortTime(Date.now()));
    } catch (error) {
      item.remove();
      this.nothing.hidden = this.log.childElementCount > 0;
      this.text.value ||= text;
      this.refusal.textContent = describe(error);
    }
  }
}

/**
 * @param {string} text
 * @param {string} when
 * @param {boolean} isMine
 */
function makeMessage(text, when, isMine) {
  return make('li', { class: 'message', 'data-mine': String(isMine) }, make('p', { class: 'bubble' }, text), make('time', {}, when));
}

customElements.define('chat-view', ChatView);
