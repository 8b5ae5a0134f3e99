"use strict";

// What this tab has captioned, kept over a reload; it is gone with the tab.

const KEY = "captioner ";

/** @param models whose captions they are: those of others are not shown. */
function tabHistory(models) {
  const prefix = `${KEY}${models.join(" + ")} `;
  const numbers = () =>
    Object.keys(sessionStorage)
      .filter((key) => key.startsWith(prefix))
      .map((key) => Number(key.slice(prefix.length)))
      .sort((a, b) => a - b);

  return {
    /** The captioned photos, ``[number, answer]``, the first one first. */
    all: () => numbers().map((number) => [number, JSON.parse(sessionStorage.getItem(prefix + number))]),

    /** Keep an answer; where there is no room the oldest ones give way, or it is not kept. */
    keep(number, answer) {
      const text = JSON.stringify(answer);
      for (;;) {
        try {
          return sessionStorage.setItem(prefix + number, text);
        } catch {
          const [oldest] = numbers().filter((other) => other !== number);
          if (oldest === undefined) return;
          sessionStorage.removeItem(prefix + oldest);
        }
      }
    },

    forget: () => numbers().forEach((number) => sessionStorage.removeItem(prefix + number)),
  };
}
