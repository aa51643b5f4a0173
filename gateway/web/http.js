/** From a call of `api.js` to a request on the wire, and from the reply to a value or an error. */

import { connection } from './connection.js';
import { ApiError, ConnectionLost, UNAUTHENTICATED, isAbandoned } from './errors.js';
import { session } from './session.js';

const PREFIX = '/douyin';
// The product answers within 10 s.
const DEADLINE_MS = 15_000;

/**
 * @typedef {Record<string, string | number>} Parameters
 * @typedef {{status_code: number, status_msg: string, [field: string]: any}} Reply
 */

/**
 * Ask for something. While the connection is lost this waits, and asks again when it is back.
 *
 * @param {string} path below the prefix
 * @param {Parameters} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<Reply>}
 */
export async function get(path, query, signal) {
  for (;;) {
    await connection.whenBack(signal);
    try {
      return await send(urlOf(path, query), { signal });
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    }
  }
}

/**
 * Do something, once: what got no answer may or may not be done.
 *
 * @param {string} path below the prefix
 * @param {Parameters} parameters travel as a JSON object, so that no password stands in a URL
 * @returns {Promise<Reply>}
 */
export async function post(path, parameters) {
  const headers = { 'Content-Type': 'application/json' };
  return send(urlOf(path), { method: 'POST', headers, body: JSON.stringify(parameters) });
}

/**
 * @param {string} path
 * @param {Parameters} [query]
 */
export function urlOf(path, query = {}) {
  const url = new URL(PREFIX + path, location.origin);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
  return url;
}

/** @returns {Record<string, string>} */
export function authorization() {
  return session.viewer ? { Authorization: `Bearer ${session.viewer.token}` } : {};
}

/**
 * @param {URL} url
 * @param {RequestInit} options
 * @returns {Promise<Reply>}
 */
async function send(url, options) {
  const token = session.viewer?.token;
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  const headers = { ...options.headers, ...authorization() };
  try {
    const response = await fetch(url, { ...options, headers, signal });
    return open(response.status, response.headers.get('Retry-After'), await response.text(), token);
  } catch (error) {
    if (error instanceof ApiError || isAbandoned(error)) throw error;
    connection.lose();
    throw new ConnectionLost('no answer', { cause: error });
  }
}

/**
 * Open the envelope in which every reply comes.
 *
 * @param {number} httpStatus
 * @param {string | null} retryAfter
 * @param {string} body
 * @param {string} [token] with which was asked; a refusal of it ends the session
 * @returns {Reply}
 */
export function open(httpStatus, retryAfter, body, token) {
  const reply = parse(body);
  if (reply?.status_code === 0) return reply;
  if (reply?.status_code === UNAUTHENTICATED && token && session.viewer?.token === token) session.end();
  // A proxy that knows nothing of the contract has no envelope.
  if (!reply) throw new ApiError(10009, `HTTP ${httpStatus}`, 1);
  throw new ApiError(reply.status_code, reply.status_msg, Number(retryAfter ?? 0));
}

/**
 * @param {string} body
 * @returns {Reply | null}
 */
function parse(body) {
  try {
    const reply = JSON.parse(body);
    return typeof reply?.status_code === 'number' ? reply : null;
  } catch {
    return null;
  }
}
