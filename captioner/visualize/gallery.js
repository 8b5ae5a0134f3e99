// The index of many photos: search, and which photo is shown. Without scripts its links work all the same.

(function start() {
  const links = [...document.querySelectorAll("nav a")];
  const search = document.querySelector("input");
  const texts = links.map((link) => link.textContent.toLowerCase());
  let current = -1;

  function mark(i) {
    if (current >= 0) links[current].removeAttribute("aria-current");
    current = i;
    links[i].setAttribute("aria-current", "true");
    links[i].scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    for (let i = current + by; i >= 0 && i < links.length; i += by) {
      if (!links[i].parentElement.hidden) {
        links[i].click();
        return;
      }
    }
  }

  links.forEach((link, i) => link.addEventListener("click", () => mark(i)));
  search.hidden = false;
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    links.forEach((link, i) => {
      link.parentElement.hidden = !words.every((word) => texts[i].includes(word));
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.target === search || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "j" || event.key === "ArrowDown") step(1);
    else if (event.key === "k" || event.key === "ArrowUp") step(-1);
    else if (event.key === "/") search.focus();
    else return;
    event.preventDefault();
  });
  mark(0);
})();
