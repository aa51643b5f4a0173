/** The person's language, and every word that the client says. */

import en from './texts/en.js';
import zh from './texts/zh.js';

/** @typedef {keyof typeof zh} TextKey */

const STORED = 'dousheng.language';
const LANGUAGES = { zh, en };
const stored = localStorage.getItem(STORED);

/** @type {'zh' | 'en'} */
export const language = stored === 'zh' || stored === 'en' ? stored : navigator.language.startsWith('zh') ? 'zh' : 'en';

/**
 * Say something; `{name}` in a text is replaced by that value.
 *
 * @param {TextKey} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return LANGUAGES[language][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** Speak the other language; the page begins anew with it. */
export function switchLanguage() {
  localStorage.setItem(STORED, language === 'zh' ? 'en' : 'zh');
  location.reload();
}

/**
 * The errors of the contract by code: what the product says when it has no more to say, what is shown for
 * that, and how words of the product are shown that say more.
 *
 * @type {Record<number, {zh: string, shown: string, add: (more: string) => string}>}
 */
export const GENERIC_WORDS = Object.fromEntries(
  /** @type {TextKey[]} */ (Object.keys(zh))
    .filter((key) => /^error\.\d+$/.test(key))
    .map((key) => [
      Number(key.slice('error.'.length)),
      { zh: zh[key], shown: t(key), add: (more) => (language === 'zh' ? more : `${t(key)} (${more})`) },
    ]),
);

const counts = new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 });

/** @param {number} count */
export function shortCount(count) {
  return counts.format(count);
}

const sameDay = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit' });
const otherDay = new Intl.DateTimeFormat(language, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
});

/** @param {number} timeMs */
export function shortTime(timeMs) {
  const isToday = new Date(timeMs).toDateString() === new Date().toDateString();
  return (isToday ? sameDay : otherDay).format(timeMs);
}

/** @param {number} seconds */
export function clock(seconds) {
  const whole = Math.floor(Number.isFinite(seconds) ? seconds : 0);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
