"use strict";

// What can be taken along of a caption: its text, its figure, its numbers.

const SAID = 1500; // milliseconds that a button says what it has done

/** The caption as alternative text: a sentence. */
function sentence({ text, words }) {
  if (!words.length) return "";
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?\u3002]$/.test(text) ? "" : "."}`;
}

function altSnippet(entry) {
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  return `<img src="${escape(encodeURI(entry.name || "photo.jpg"))}" alt="${escape(sentence(entry))}">`;
}

/** Put a text into the clipboard, also where a page has no right to the newer way. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("textarea", { class: "unseen" });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param image the photo's element. */
function captionActions(entry, look, image) {
  const stem = (entry.name || "caption").replace(/\.[^.]*$/, "").replace(/[/\\:]/g, "_");
  const { photo, thumbnail, text, name, ...numbers } = entry;
  const json = () => JSON.stringify({ name, caption: text, ...numbers }, null, 1);
  const figure = async () => {
    await image.decode();
    return new Promise((resolve) => drawFigure(entry, look, image).toBlob(resolve, "image/png"));
  };
  const actions = [
    ["Copy caption", "Copied", () => copyText(entry.text)],
    ["Copy alt text", "Copied", () => copyText(altSnippet(entry)), "An img element with the caption as its alternative text"],
    ["Figure", "Saved", async () => download(await figure(), `${stem}.png`), "Download the photo with the attention of every word"],
    ["Text", "Saved", () => download(new Blob([`${entry.text}\n`], { type: "text/plain" }), `${stem}.txt`), "Download the caption"],
    ["JSON", "Saved", () => download(new Blob([json()], { type: "application/json" }), `${stem}.json`), "Download the caption and all its numbers"],
  ];
  const buttons = actions.map(([label, done, act, title = ""]) => {
    const button = make("button", { type: "button", class: "text-button", title }, label);
    button.addEventListener("click", async () => {
      await act();
      button.textContent = done;
      setTimeout(() => (button.textContent = label), SAID);
    });
    return button;
  });
  return make("div", { class: "actions", role: "group", "aria-label": "Take along" }, buttons);
}
