/** The contract, one function per endpoint. Each throws `ApiError` or `ConnectionLost` (errors.js). */

import { get, post, urlOf } from './http.js';
import { session } from './session.js';
import { upload } from './upload.js';

/**
 * @typedef {import('./objects.js').User} User
 * @typedef {import('./objects.js').Friend} Friend
 * @typedef {import('./objects.js').Video} Video
 * @typedef {import('./objects.js').Comment} Comment
 * @typedef {import('./objects.js').Message} Message
 * @typedef {import('./objects.js').Upload} Upload
 */
/**
 * @template T
 * @typedef {import('./objects.js').Page<T>} Page
 */

const DO = 1;
const UNDO = 2;

/**
 * @param {number} latestTime 0: from the newest on
 * @param {AbortSignal} signal
 * @returns {Promise<{videos: Video[], nextTime: number}>}
 */
export async function loadFeed(latestTime, signal) {
  const reply = await get('/feed/', { latest_time: latestTime }, signal);
  return { videos: reply.video_list, nextTime: reply.next_time };
}

/**
 * @param {'register' | 'login'} how
 * @param {string} username
 * @param {string} password
 */
export async function openSession(how, username, password) {
  const { user_id, token } = await post(`/user/${how}/`, { username, password });
  session.begin({ user_id, token, name: username });
}

/**
 * @param {number} userId
 * @param {AbortSignal} signal
 * @returns {Promise<User>}
 */
export async function getUser(userId, signal) {
  return (await get('/user/', { user_id: userId }, signal)).user;
}

/**
 * @param {File} file
 * @param {string} title
 * @param {(sent: number) => void} onProgress hears the part that was sent, 0 to 1
 * @returns {Promise<number>} the id of the video, which may still be in the making
 */
export async function publish(file, title, onProgress) {
  const form = new FormData();
  form.set('title', title);
  form.set('data', file);
  return (await upload('/publish/action/', form, onProgress)).video_id;
}

/**
 * @param {string} cursor
 * @param {AbortSignal} signal
 * @returns {Promise<Page<Upload>>} the viewer's own, newest first
 */
export function listUploads(cursor, signal) {
  return page('/publish/status/', 'publish_list', { limit: 10, cursor }, signal);
}

/**
 * @param {number} videoId
 * @param {AbortSignal} signal
 * @returns {Promise<Upload | undefined>}
 */
export async function findUpload(videoId, signal) {
  return (await get('/publish/status/', { video_id: videoId }, signal)).publish_list[0];
}

/**
 * @param {'works' | 'likes'} kind
 * @param {number} userId
 * @param {string} cursor
 * @param {AbortSignal} signal
 * @returns {Promise<Page<Video>>}
 */
export function listVideos(kind, userId, cursor, signal) {
  const path = kind === 'works' ? '/publish/list/' : '/favorite/list/';
  return page(path, 'video_list', { user_id: userId, limit: 24, cursor }, signal);
}

/**
 * @param {number} videoId
 * @param {boolean} isLiked
 */
export async function setLike(videoId, isLiked) {
  await post('/favorite/action/', { video_id: videoId, action_type: isLiked ? DO : UNDO });
}

/**
 * @param {number} videoId
 * @param {string} cursor
 * @param {AbortSignal} signal
 * @returns {Promise<Page<Comment>>} newest first
 */
export function listComments(videoId, cursor, signal) {
  return page('/comment/list/', 'comment_list', { video_id: videoId, limit: 30, cursor }, signal);
}

/**
 * @param {number} videoId
 * @param {string} text
 * @returns {Promise<Comment>}
 */
export async function addComment(videoId, text) {
  const parameters = { video_id: videoId, action_type: DO, comment_text: text };
  return (await post('/comment/action/', parameters)).comment;
}

/**
 * @param {number} videoId
 * @param {number} commentId
 */
export async function deleteComment(videoId, commentId) {
  await post('/comment/action/', { video_id: videoId, action_type: UNDO, comment_id: commentId });
}

/**
 * @param {number} commentId
 * @param {boolean} isLiked
 */
export async function setCommentLike(commentId, isLiked) {
  await post('/comment/favorite/', { comment_id: commentId, action_type: isLiked ? DO : UNDO });
}

/**
 * @param {number} userId
 * @param {boolean} isFollowed
 */
export async function setFollow(userId, isFollowed) {
  await post('/relation/action/', { to_user_id: userId, action_type: isFollowed ? DO : UNDO });
}

/** @typedef {'following' | 'followers' | 'friends'} PeopleKind */

const PEOPLE_PATHS = {
  following: '/relation/follow/list/',
  followers: '/relation/follower/list/',
  friends: '/relation/friend/list/',
};

/**
 * @param {PeopleKind} kind friends are the viewer's own alone, and `Friend` objects
 * @param {number} userId
 * @param {string} cursor
 * @param {AbortSignal} [signal]
 * @returns {Promise<Page<any>>}
 */
export function listPeople(kind, userId, cursor, signal) {
  return page(PEOPLE_PATHS[kind], 'user_list', { user_id: userId, limit: 30, cursor }, signal);
}

/**
 * @param {number} userId the other person
 * @param {string} cursor
 * @param {AbortSignal} signal
 * @returns {Promise<Page<Message>>} oldest first; the next page is the one before them
 */
export function listHistory(userId, cursor, signal) {
  return page('/message/chat/', 'message_list', { to_user_id: userId, limit: 30, cursor }, signal);
}

/**
 * @param {number} userId the other person
 * @param {number} since 0: the latest 100 of both; else those of the other person that are newer, the oldest 100
 * @param {AbortSignal} [signal]
 * @returns {Promise<Message[]>} oldest first
 */
export async function listMessages(userId, since, signal) {
  return (await get('/message/chat/', { to_user_id: userId, pre_msg_time: since }, signal)).message_list;
}

/**
 * @param {number} userId
 * @param {string} content
 */
export async function sendMessage(userId, content) {
  await post('/message/action/', { to_user_id: userId, action_type: DO, content });
}

/**
 * Open the stream of what the other person writes. A browser cannot set a header here: the token stands in the URL.
 *
 * @param {number} userId
 * @param {number} since
 */
export function openMessageSocket(userId, since) {
  const token = session.viewer?.token ?? '';
  const url = urlOf('/message/ws', { token, to_user_id: userId, pre_msg_time: since });
  url.protocol = url.protocol.replace('http', 'ws');
  return new WebSocket(url);
}

/**
 * @param {string} path
 * @param {string} field
 * @param {import('./http.js').Parameters} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<Page<any>>}
 */
async function page(path, field, query, signal) {
  const reply = await get(path, query, signal);
  return { items: reply[field], next: reply.next_cursor };
}
