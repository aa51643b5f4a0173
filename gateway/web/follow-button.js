/** The button that follows somebody, wherever that person is shown. */

import { icon, make } from './dom.js';
import { markOf, watchMark } from './marks.js';
import { session } from './session.js';
import { t } from './texts.js';

/**
 * @param {import('./objects.js').User} user
 * @param {AbortSignal} signal ends with the place where the button stands
 * @returns {Node} nothing for the viewer, who cannot follow themselves
 */
export function followButton(user, signal) {
  if (session.isViewer(user.id)) return document.createDocumentFragment();
  const mark = markOf('follow', user.id, user.is_follow, user.follower_count);
  const words = make('span');
  const button = make('button', { type: 'button', class: 'follow', onclick: () => mark.toggle() }, icon('plus'), words);
  watchMark(mark, signal, () => {
    words.textContent = t(mark.isSet ? 'follow.done' : 'follow.do');
    button.setAttribute('aria-pressed', String(mark.isSet));
  });
  return button;
}
