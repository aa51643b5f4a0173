/** Short messages about what was just tried, read out by screen readers, gone by themselves. */

import { make } from './dom.js';
import { describe, isAbandoned } from './errors.js';

const SHOWN_MS = 5_000;
const region = make('div', { id: 'toasts' });
document.body.append(region);

/** @param {string} words */
export function tell(words) {
  const toast = make('div', { role: 'status', class: 'toast' }, words);
  region.append(toast);
  while (region.childElementCount > 3) region.firstElementChild?.remove();
  setTimeout(() => toast.remove(), SHOWN_MS);
}

/**
 * Say why something was not done.
 *
 * @param {unknown} error
 */
export function tellError(error) {
  if (isAbandoned(error)) return;
  // A mistake of this client: whoever looks for it needs more than its words.
  if (error instanceof TypeError) console.error(error);
  tell(describe(error));
}
