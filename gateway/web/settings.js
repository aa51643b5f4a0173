/** Language and theme, as this browser keeps them. */

import { icon, make } from './dom.js';
import { switchLanguage, t } from './texts.js';

/** @typedef {'auto' | 'light' | 'dark'} Theme */

const STORED = 'dousheng.theme';
/** @type {Theme[]} */
const THEMES = ['auto', 'light', 'dark'];

/** @returns {Theme} */
function currentTheme() {
  return THEMES.find((theme) => theme === localStorage.getItem(STORED)) ?? 'auto';
}

export function applyTheme() {
  document.documentElement.dataset.theme = currentTheme();
}

export function makeSettings() {
  const themeWords = make('span', {}, t(`setting.theme.${currentTheme()}`));
  const nextTheme = () => {
    const theme = THEMES[(THEMES.indexOf(currentTheme()) + 1) % THEMES.length];
    localStorage.setItem(STORED, theme);
    applyTheme();
    themeWords.textContent = t(`setting.theme.${theme}`);
  };
  const language = make(
    'button',
    { type: 'button', class: 'quiet', onclick: switchLanguage },
    icon('language'),
    t('setting.other-language'),
  );
  return make(
    'div',
    { class: 'settings' },
    language,
    make('button', { type: 'button', class: 'quiet', onclick: nextTheme }, icon('theme'), themeWords),
  );
}
