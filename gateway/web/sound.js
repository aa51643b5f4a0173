/** Whether videos are heard: one wish for all of them. Browsers let no page begin with sound. */

class Sound extends EventTarget {
  isOn = false;

  toggle() {
    this.#become(!this.isOn);
  }

  /** The browser refused to play with sound. */
  giveUp() {
    this.#become(false);
  }

  /** @param {boolean} isOn */
  #become(isOn) {
    this.isOn = isOn;
    this.dispatchEvent(new Event('change'));
  }
}

/** Fires `change`. */
export const sound = new Sound();
