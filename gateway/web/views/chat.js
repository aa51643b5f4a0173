/** A conversation with one person. */

import { getUser, listHistory, sendMessage } from '../api.js';
import { Composer } from '../composer.js';
import { avatar, icon, make } from '../dom.js';
import { EarlierMessages } from '../earlier-messages.js';
import { LoadState } from '../load-state.js';
import { MessageStream } from '../message-stream.js';
import { shortTime, t } from '../texts.js';
import { tellError } from '../toasts.js';
import { unread } from '../unread.js';
import { View } from './view.js';

/**
 * @typedef {import('../objects.js').Message} Message
 * @typedef {import('../message-stream.js').StreamState} StreamState
 */

const NEAR_END_PX = 120;

export class ChatView extends View {
  /** @type {Set<number>} */
  #drawn = new Set();
  /** @type {HTMLElement[]} what was written here and has no id yet: the reply to it brings none, the stream does */
  #unnamed = [];
  #sending = Promise.resolve();

  /** @param {number} userId the other person */
  constructor(userId) {
    super();
    this.userId = userId;
    this.state = new LoadState(() => this.show());
    this.list = make('ol', { id: 'messages', role: 'list' });
    this.nothing = make('p', { class: 'empty' }, t('chat.empty'));
    this.log = make('div', { class: 'chat-scroll', role: 'log', tabindex: 0 });
    this.earlier = new EarlierMessages({
      scroller: this.log,
      load: (cursor, signal) => listHistory(userId, cursor, signal),
      draw: (messages) => this.#drawAbove(messages),
    });
    this.log.append(this.earlier, this.nothing, this.list);
    this.composer = new Composer({
      name: 'message',
      label: t('chat.write'),
      send: t('chat.send'),
      onText: (text) => this.#send(text),
    });
    this.link = make('span', { class: 'chat-connection', role: 'status' });
  }

  async show() {
    this.replaceChildren(make('h1', { class: 'unseen' }, t('messages.title')), this.state);
    const { signal } = this;
    const loaded = await this.state.during(() =>
      Promise.all([getUser(this.userId, signal), listHistory(this.userId, '', signal)]),
    );
    if (!loaded || signal.aborted) return;
    const [user, { items: messages, next }] = loaded;
    this.log.setAttribute('aria-label', t('chat.log', { name: user.name }));
    this.replaceChildren(this.#makeHead(user), this.log, this.composer.form);
    this.earlier.hidden = !messages.length;
    this.nothing.hidden = messages.length > 0;
    this.earlier.continueFrom(next);
    this.#drawAbove(messages);
    this.log.scrollTop = this.log.scrollHeight;
    this.composer.text.focus();
    await this.#follow(messages, signal);
  }

  /**
   * @param {Message[]} messages
   * @param {AbortSignal} signal
   */
  async #follow(messages, signal) {
    const last = messages.at(-1);
    if (last) unread.see(this.userId, last.create_time);
    const stream = new MessageStream({
      userId: this.userId,
      since: last?.create_time ?? 0,
      onMessage: (message) => this.#receive(message),
      onState: (state) => this.#showState(state),
    });
    await stream.run(signal);
  }

  /**
   * Draw a page of history before what is drawn, and stay where the person looks.
   *
   * @param {Message[]} messages
   */
  #drawAbove(messages) {
    const below = this.log.scrollHeight - this.log.scrollTop;
    // Only what is new is read out.
    this.log.setAttribute('aria-live', 'off');
    this.list.prepend(...messages.map((message) => this.#draw(message)));
    this.log.scrollTop = this.log.scrollHeight - below;
  }

  /** @param {Message} message */
  #receive(message) {
    if (this.#drawn.has(message.id)) return;
    if (message.from_user_id === this.userId) unread.see(this.userId, message.create_time);
    else if (this.#name(message)) return;
    this.#append(this.#draw(message));
  }

  /**
   * Find what the viewer wrote here, and note that it is this message. What they wrote elsewhere is not found.
   *
   * @param {Message} message
   */
  #name(message) {
    const index = this.#unnamed.findIndex((item) => item.querySelector('.bubble')?.textContent === message.content);
    if (index < 0) return false;
    this.#unnamed.splice(index, 1);
    this.#drawn.add(message.id);
    return true;
  }

  /** @param {Message} message */
  #draw(message) {
    this.#drawn.add(message.id);
    return makeMessage(message.content, shortTime(message.create_time), message.from_user_id !== this.userId);
  }

  /** @param {HTMLElement} item */
  #append(item) {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    this.log.setAttribute('aria-live', 'polite');
    this.list.append(item);
    this.nothing.hidden = true;
    if (isAtEnd || item.dataset.mine === 'true') this.log.scrollTop = this.log.scrollHeight;
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

  /** @param {string} text */
  #send(text) {
    const item = makeMessage(text, t('chat.sending'), true);
    item.dataset.state = 'sending';
    this.#unnamed.push(item);
    this.#append(item);
    // One after the other, so that they arrive in the order in which they were written.
    this.#sending = this.#sending.then(() => this.#deliver(text, item));
  }

  /**
   * @param {string} text
   * @param {HTMLElement} item
   */
  async #deliver(text, item) {
    try {
      await sendMessage(this.userId, text);
      item.dataset.state = 'sent';
      item.querySelector('time')?.replaceChildren(shortTime(Date.now()));
    } catch (error) {
      item.remove();
      this.#unnamed = this.#unnamed.filter((other) => other !== item);
      this.nothing.hidden = this.list.childElementCount > 0;
      // Somebody who went elsewhere meanwhile is told there.
      if (this.isConnected) this.composer.refuse(text, error);
      else tellError(error);
    }
  }
}

/**
 * @param {string} text
 * @param {string} when
 * @param {boolean} isMine
 */
function makeMessage(text, when, isMine) {
  return make(
    'li',
    { class: 'message', 'data-mine': String(isMine) },
    make('p', { class: 'bubble' }, text),
    make('time', {}, when),
  );
}

customElements.define('chat-view', ChatView);
