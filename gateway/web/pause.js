/**
 * Wait.
 *
 * @param {number} durationMs
 * @param {AbortSignal} signal ends the waiting with its reason
 * @returns {Promise<void>}
 */
export function pause(durationMs, signal) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, durationMs);
    signal.addEventListener('abort', stop, { once: true });
  });
}
