"use strict";

// What the server is asked for: captions of photos, a few on their way at a time.

const AT_ONCE = 4;

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** A function that runs what it is given, ``most`` at a time, in the order in which it is given. */
function limited(most) {
  const waiting = [];
  let running = 0;
  const next = () => {
    if (running === most || !waiting.length) return;
    running++;
    const { work, resolve, reject } = waiting.shift();
    work().then(resolve, reject).finally(() => {
      running--;
      next();
    });
  };
  return (work) => new Promise((resolve, reject) => (waiting.push({ work, resolve, reject }), next()));
}

const inTurn = limited(AT_ONCE);

/**
 * The server's answer for a photo.
 * @param options names and values of the form's fields.
 * @param started called when the photo's turn comes.
 * @throws Error with a line for people.
 */
function askCaption(photo, options, { upload, signal, started }) {
  return inTurn(async () => {
    signal.throwIfAborted();
    started();
    if (photo.size > upload) throw new Error(`The file is larger than ${upload / 1e6} MB`);
    const readable = await photo.slice(0, 1).arrayBuffer().then(() => true, () => false);
    if (!readable) throw new Error("The file cannot be read. Folders cannot be dropped; their photos can.");
    const form = new FormData();
    form.append("photo", photo);
    form.append("pictures", "true");
    for (const [name, value] of options) form.append(name, value);
    for (;;) {
      const response = await fetch("caption", { method: "POST", body: form, signal }).catch((error) => {
        throw error.name === "AbortError" ? error : new Error("The server does not answer. Does captioner serve still run?");
      });
      if (response.status !== 503) {
        const answer = await response.json();
        if (response.ok) return answer;
        throw new Error(answer.error);
      }
      await pause(Number(response.headers.get("Retry-After")) || 1); // others are being served
      signal.throwIfAborted();
    }
  });
}
