/** Sending a video: XMLHttpRequest, because fetch does not tell how much of a body has left. */

import { connection } from './connection.js';
import { ConnectionLost } from './errors.js';
import { authorization, open, urlOf } from './http.js';
import { session } from './session.js';

/**
 * @param {string} path below the prefix
 * @param {FormData} form
 * @param {(sent: number) => void} onProgress hears the part that was sent, 0 to 1
 * @returns {Promise<import('./http.js').Reply>}
 */
export function upload(path, form, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const token = session.viewer?.token;
    request.open('POST', urlOf(path));
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.total ? event.loaded / event.total : 0);
    request.onload = () => {
      try {
        resolve(open(request.status, request.getResponseHeader('Retry-After'), request.responseText, token));
      } catch (error) {
        reject(error);
      }
    };
    request.onerror = () => {
      connection.check();
      reject(new ConnectionLost('the upload broke off'));
    };
    request.send(form);
  });
}
