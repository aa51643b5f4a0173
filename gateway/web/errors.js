/** What can go wrong with a request, and how a person is told. */

import { GENERIC_WORDS, t } from './texts.js';

/** The answer of the product that something is not done. */
export class ApiError extends Error {
  /**
   * @param {number} code `status_code` of the contract
   * @param {string} message `status_msg`: Chinese, says what to do
   * @param {number} [retryAfterS] how long to wait before the next attempt
   */
  constructor(code, message, retryAfterS = 0) {
    super(message);
    this.code = code;
    this.retryAfterS = retryAfterS;
  }

  /** It may well work a little later. */
  get isTemporary() {
    return this.retryAfterS > 0;
  }
}

/** No answer came: whether it was done is unknown. */
export class ConnectionLost extends Error {}

/** The contract's code for a token that is missing or has expired. */
export const UNAUTHENTICATED = 10002;

/**
 * Whether a request was given up because nobody waits for it any more.
 *
 * @param {unknown} error
 */
export function isAbandoned(error) {
  return error instanceof DOMException && error.name === 'AbortError';
}

/**
 * Say what went wrong in the person's language.
 *
 * The product speaks Chinese. In other languages its class of errors is told; where it said more than
 * the class, its own words follow.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function describe(error) {
  if (error instanceof ConnectionLost) return t('error.connection');
  if (!(error instanceof ApiError)) return t('error.client');
  const words = GENERIC_WORDS[error.code];
  if (!words) return error.message;
  return error.message === words.zh ? words.shown : words.add(error.message);
}
