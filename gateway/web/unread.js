/** How many messages of each friend the viewer has not seen. What was seen is remembered in this browser. */

import { listMessages, listPeople } from './api.js';
import { session } from './session.js';

/** @typedef {import('./objects.js').Friend} Friend */

const LOOK_EVERY_MS = 10_000;
const RECEIVED = 0;

/** Fires `change`. */
class Unread extends EventTarget {
  /** @type {Map<number, number>} */
  #counts = new Map();
  #isLooking = false;
  /** @type {Map<number, Friend>} the friends, as they were told last */
  friends = new Map();

  get total() {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** @param {number} friendId */
  countOf(friendId) {
    return this.#counts.get(friendId) ?? 0;
  }

  /**
   * Count what a friend wrote, if the latest message is theirs.
   *
   * @param {Friend} friend
   */
  async count(friend) {
    const key = seenKey();
    const seen = readSeen()[friend.id];
    this.friends.set(friend.id, friend);
    const isTheirs = friend.msg_type === RECEIVED && friend.message !== '';
    const count = isTheirs ? await countSince(friend.id, seen) : 0;
    // Another viewer came meanwhile, or this one opened the chat: the count is old.
    if (key === seenKey() && seen === readSeen()[friend.id]) this.#set(friend.id, count);
  }

  /**
   * The viewer has seen a message, and with it all that are older.
   *
   * @param {number} friendId
   * @param {number} createTime
   */
  see(friendId, createTime) {
    const seen = readSeen();
    if (createTime > (seen[friendId] ?? 0))
      localStorage.setItem(seenKey(), JSON.stringify({ ...seen, [friendId]: createTime }));
    this.#set(friendId, 0);
  }

  /** Look for messages from now on, while somebody is logged in and looks at the page. */
  start() {
    session.addEventListener('change', () => {
      this.#counts.clear();
      this.friends.clear();
      this.dispatchEvent(new Event('change'));
      this.#look();
    });
    setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#look();
  }

  async #look() {
    if (!session.viewer || document.hidden || this.#isLooking) return;
    // Without a connection a look takes as long as the outage.
    this.#isLooking = true;
    try {
      const page = await listPeople('friends', session.viewer.user_id, '');
      const changed = page.items.filter((friend) => friend.message !== this.friends.get(friend.id)?.message);
      for (const friend of changed) await this.count(friend);
    } catch (error) {
      // The next look may work; nobody asked for this one.
      console.info('unread messages were not counted', error);
    } finally {
      this.#isLooking = false;
    }
  }

  /**
   * @param {number} friendId
   * @param {number} count
   */
  #set(friendId, count) {
    this.#counts.set(friendId, count);
    this.dispatchEvent(new Event('change'));
  }
}

/**
 * @param {number} friendId
 * @param {number | undefined} seen without it, what came after the viewer's own last message is new
 */
async function countSince(friendId, seen) {
  const messages = await listMessages(friendId, seen ?? 0);
  return messages.length - 1 - messages.findLastIndex((message) => message.from_user_id !== friendId);
}

function seenKey() {
  return `dousheng.seen.${session.viewer?.user_id}`;
}

/** @returns {Record<number, number>} */
function readSeen() {
  try {
    return JSON.parse(localStorage.getItem(seenKey()) ?? '{}');
  } catch {
    return {}; // Not ours: nothing is known to be seen.
  }
}

export const unread = new Unread();
