/** An address that shows nothing. */

import { make } from '../dom.js';
import { t } from '../texts.js';
import { View } from './view.js';

export class MissingView extends View {
  show() {
    this.replaceChildren(
      make(
        'div',
        { class: 'blank' },
        make('h1', {}, t('missing.title')),
        make('a', { class: 'button', href: '#/' }, t('missing.home')),
      ),
    );
  }
}

customElements.define('missing-view', MissingView);
