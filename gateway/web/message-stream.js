/**
 * What is written in a chat, as it comes: by WebSocket, or by polling while there is none.
 * The WebSocket brings what both write, polling what the other person writes.
 */

import { listMessages, openMessageSocket } from './api.js';
import { connection } from './connection.js';
import { isAbandoned } from './errors.js';
import { pause } from './pause.js';

/**
 * @typedef {import('./objects.js').Message} Message
 * @typedef {'live' | 'polling' | 'lost'} StreamState
 */

const REOPEN_PAUSE_MS = 500;
const POLL_PAUSE_MS = 1_500;
// So many polls, then the WebSocket is tried again.
const POLLS = 10;
const OPEN_DEADLINE_MS = 5_000;

export class MessageStream {
  #since;

  /**
   * @param {object} options
   * @param {number} options.userId the other person
   * @param {number} options.since the `create_time` of the last message that is known, 0 if none is
   * @param {(message: Message) => void} options.onMessage
   * @param {(state: StreamState) => void} options.onState
   */
  constructor({ userId, since, onMessage, onState }) {
    this.userId = userId;
    // With 0 polling would bring what the viewer wrote, too.
    this.#since = Math.max(since, 1);
    this.onMessage = onMessage;
    this.onState = onState;
  }

  /**
   * Follow the conversation until nobody looks at it any more.
   *
   * @param {AbortSignal} signal
   */
  async run(signal) {
    try {
      for (;;) {
        await connection.whenBack(signal);
        if (await this.#listen(signal)) await pause(REOPEN_PAUSE_MS, signal);
        else await this.#poll(signal);
      }
    } catch (error) {
      if (!isAbandoned(error)) throw error;
    }
  }

  /**
   * Listen to a WebSocket until it closes.
   *
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether it had been open
   */
  #listen(signal) {
    return new Promise((resolve) => {
      const socket = openMessageSocket(this.userId, this.#since);
      const done = new AbortController();
      let wasOpen = false;
      const tooLate = setTimeout(() => socket.close(), OPEN_DEADLINE_MS);
      socket.onopen = () => {
        clearTimeout(tooLate);
        wasOpen = true;
        this.onState('live');
      };
      socket.onmessage = (event) => this.#take(JSON.parse(event.data));
      socket.onclose = async () => {
        clearTimeout(tooLate);
        done.abort();
        if (!signal.aborted) {
          this.onState('lost');
          await connection.check();
        }
        resolve(wasOpen);
      };
      signal.addEventListener('abort', () => socket.close(), { signal: done.signal });
      // A network that is gone does not close a socket.
      connection.addEventListener('change', () => socket.close(), { signal: done.signal });
    });
  }

  /** @param {AbortSignal} signal */
  async #poll(signal) {
    for (let count = 0; count < POLLS && !connection.isLost; count += 1) {
      try {
        const messages = await listMessages(this.userId, this.#since, signal);
        messages.forEach((message) => this.#take(message));
        this.onState('polling');
      } catch (error) {
        if (signal.aborted) throw error;
        this.onState('lost');
      }
      await pause(POLL_PAUSE_MS, signal);
    }
  }

  /** @param {Message} message */
  #take(message) {
    this.#since = Math.max(this.#since, message.create_time);
    this.onMessage(message);
  }
}
