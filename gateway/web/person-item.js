/** One person in a list. */

import { avatar, make } from './dom.js';

/**
 * @param {import('./objects.js').User} user
 * @param {object} options
 * @param {string} options.href where their name leads
 * @param {string} options.words what stands under the name
 * @param {Node[]} options.beside what stands at the end
 */
export function makePerson(user, { href, words, beside }) {
  const text = make(
    'span',
    { class: 'person-text' },
    make('strong', {}, user.name),
    make('span', { class: 'hint' }, words),
  );
  return make('li', { class: 'person', 'data-user-id': user.id }, make('a', { href }, avatar(user), text), ...beside);
}
