/** Which view an address shows. Addresses lie behind `#`, so that no path of the API is ever meant. */

import { session } from './session.js';
import { t } from './texts.js';
import { tell } from './toasts.js';

/**
 * @typedef {{name: string, id: number, part: string, videoId: number}} Route
 *   `id` of a user, `part` of their profile; 0 and "" where the address has none.
 */

const ID = '([1-9][0-9]{0,15})';
/** @type {[string, RegExp][]} */
const ROUTES = [
  ['feed', /^\/?$/],
  ['login', /^\/login$/],
  ['register', /^\/register$/],
  ['publish', /^\/publish$/],
  ['messages', /^\/messages$/],
  ['me', /^\/me$/],
  ['friends', /^\/friends$/],
  ['chat', RegExp(`^/chat/(?<id>${ID})$`)],
  ['profile', RegExp(`^/user/(?<id>${ID})(/(?<part>works|likes))?$`)],
  ['people', RegExp(`^/user/(?<id>${ID})/(?<part>following|followers|friends)$`)],
  ['playlist', RegExp(`^/user/(?<id>${ID})/(?<part>works|likes)/(?<video>${ID})$`)],
];
/** Views that are of no use to somebody without an account. */
const PRIVATE = new Set(['publish', 'messages', 'me', 'friends', 'chat']);

/** @returns {Route} */
export function currentRoute() {
  const [path] = location.hash.slice(1).split('?');
  for (const [name, pattern] of ROUTES) {
    const groups = pattern.exec(path)?.groups ?? (pattern.test(path) ? {} : null);
    if (groups)
      return { name, id: Number(groups.id ?? 0), part: groups.part ?? '', videoId: Number(groups.video ?? 0) };
  }
  return { name: 'missing', id: 0, part: '', videoId: 0 };
}

/** @param {Route} route */
export function needsViewer(route) {
  return PRIVATE.has(route.name) || (route.name === 'people' && route.part === 'friends');
}

/** @param {string} hash */
export function go(hash) {
  location.hash = hash;
}

/**
 * Go somewhere else instead: the address before it is not in the way back.
 *
 * @param {string} hash
 */
export function goInstead(hash) {
  location.replace(hash);
}

/** The address of logging in, which leads back to here. */
export function loginHash() {
  return `#/login?next=${encodeURIComponent(location.hash || '#/')}`;
}

/** Where somebody goes who has logged in. */
export function hashAfterLogin() {
  const next = new URLSearchParams(location.hash.split('?')[1]).get('next');
  return next?.startsWith('#/') ? next : '#/';
}

/** Whether somebody is logged in; if not, they are asked to. */
export function requireViewer() {
  if (session.viewer) return true;
  tell(t('action.login-first'));
  go(loginHash());
  return false;
}
