/** The beginning: puts the shell on the page, and into it the view that the address names. */

import { currentRoute, goInstead, loginHash, needsViewer } from './router.js';
import { session } from './session.js';
import { applyTheme } from './settings.js';
import { AppShell } from './shell.js';
import { language, t } from './texts.js';
import { unread } from './unread.js';
import { AccountView } from './views/account.js';
import { ChatView } from './views/chat.js';
import { FeedView } from './views/feed.js';
import { MessagesView } from './views/messages.js';
import { MissingView } from './views/missing.js';
import { PeopleView } from './views/people.js';
import { PlaylistView } from './views/playlist.js';
import { ProfileView } from './views/profile.js';
import { PublishView } from './views/publish.js';

/** @typedef {import('./router.js').Route} Route */

const shell = new AppShell();
/** @type {FeedView | null} the feed is kept, so that whoever comes back finds the video that they left */
let feed = null;

/** @type {Record<string, (route: Route) => HTMLElement>} */
const VIEWS = {
  feed: () => (feed ??= new FeedView()),
  login: () => new AccountView('login'),
  register: () => new AccountView('register'),
  publish: () => new PublishView(),
  messages: () => new MessagesView(),
  chat: (route) => new ChatView(route.id),
  profile: (route) => new ProfileView(route),
  people: (route) => new PeopleView(route),
  playlist: (route) => new PlaylistView(route),
  missing: () => new MissingView(),
};

function show() {
  const route = currentRoute();
  const { viewer } = session;
  if (needsViewer(route) && !viewer) return goInstead(loginHash());
  if (route.name === 'me') return goInstead(`#/user/${viewer?.user_id}`);
  if (route.name === 'friends') return goInstead(`#/user/${viewer?.user_id}/friends`);
  // Whoever has published something wants to see it in the feed.
  if (route.name === 'publish') feed = null;
  shell.show(VIEWS[route.name](route), placeOf(route));
  document.title = [shell.main.querySelector('h1')?.textContent, t('app.name')].filter(Boolean).join(' · ');
}

/** @param {Route} route */
function placeOf({ name, id }) {
  if (name === 'chat') return 'messages';
  if (!session.isViewer(id)) return name;
  return name === 'people' ? 'friends' : 'me';
}

function showAnew() {
  feed = null;
  show();
}

document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
applyTheme();
document.body.prepend(shell);
show();
unread.start();
addEventListener('hashchange', () => {
  show();
  shell.main.focus({ preventScroll: true });
});
shell.addEventListener('again', showAnew);
// A view was drawn for somebody: for another viewer it is drawn anew. Logging in leads elsewhere by itself.
session.addEventListener('change', () => {
  feed = null;
  if (!['login', 'register'].includes(currentRoute().name)) show();
});
