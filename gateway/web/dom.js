/** Building the page. Texts become text nodes: nothing that a person wrote is ever read as HTML. */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Make an element. A function under `onclick` listens to `click`; `true` is an empty attribute, `false` and `null` none.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | null | ((event: any) => void)>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children);
  return element;
}

const ICONS = {
  back: 'M15 5l-7 7 7 7',
  chat: 'M4 5h16v11H10l-5 4v-4H4z',
  close: 'M6 6l12 12M18 6L6 18',
  comment:
    'M12 4c5 0 9 3.2 9 7.4s-4 7.4-9 7.4c-.9 0-1.7-.1-2.5-.3L5 21l.6-3.9C4 15.7 3 13.7 3 11.4 3 7.2 7 4 12 4zM8 11.5h.01M12 11.5h.01M16 11.5h.01',
  down: 'M5 9l7 7 7-7',
  film: 'M4 5h16v14H4zM10 9.5v5l4.5-2.5z',
  friends:
    'M9 11a3.5 3.5 0 100-7 3.5 3.5 0 000 7zM2.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6M16 4.5a3.3 3.3 0 010 6.3M18 14.4c2.1.8 3.5 2.9 3.5 5.6',
  heart:
    'M12 20.5S3.5 15.5 3.5 9.3C3.5 6.4 5.7 4.5 8 4.5c1.7 0 3.2 1 4 2.6.8-1.6 2.3-2.6 4-2.6 2.3 0 4.5 1.9 4.5 4.8 0 6.2-8.5 11.2-8.5 11.2z',
  home: 'M4 11l8-7 8 7v9h-5.5v-6h-5v6H4z',
  language: 'M12 3a9 9 0 100 18 9 9 0 000-18zM3 12h18M12 3c5 5.5 5 12.5 0 18M12 3c-5 5.5-5 12.5 0 18',
  muted: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5',
  pause: 'M8 5v14M16 5v14',
  person: 'M12 12a4 4 0 100-8 4 4 0 000 8zM4 20.5c0-4 3.6-6.5 8-6.5s8 2.5 8 6.5',
  play: 'M8 5l11 7-11 7z',
  plus: 'M12 5v14M5 12h14',
  send: 'M4 12L20.5 4.5 16 20l-4-6.5zM12 13.5l8.5-9',
  sound: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 010 6M18 6.5a8 8 0 010 11',
  theme: 'M20 14.5A8.5 8.5 0 119.5 4a7 7 0 0010.5 10.5z',
  trash: 'M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5',
  up: 'M5 15l7-7 7 7',
  upload: 'M12 16V4M7 8.5L12 3.5l5 5M4 15v5h16v-5',
};

/** @typedef {keyof typeof ICONS} IconName */

/**
 * Make a picture that says nothing to a screen reader: its button or link has the words.
 *
 * @param {IconName} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', `icon icon-${name}`);
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * Show another picture in an element that begins with one.
 *
 * @param {Element} element
 * @param {IconName} name
 */
export function changeIcon(element, name) {
  element.querySelector('.icon')?.replaceWith(icon(name));
}

/**
 * Make a button of a picture alone; its words are for screen readers and as a tooltip.
 *
 * @param {IconName} picture
 * @param {string} label
 * @param {Record<string, string | number | boolean | null | ((event: any) => void)>} [attributes]
 */
export function iconButton(picture, label, attributes = {}) {
  return make('button', { type: 'button', 'aria-label': label, title: label, ...attributes }, icon(picture));
}

/** Whether this person asked their system for less motion. */
export function prefersReducedMotion() {
  return matchMedia('(prefers-reduced-motion: reduce)').matches;
}

/**
 * Make a picture of somebody, beside whose name it stands.
 *
 * @param {{avatar: string}} user
 */
export function avatar(user) {
  return make('img', { class: 'avatar', src: user.avatar, alt: '', width: 48, height: 48, loading: 'lazy' });
}
