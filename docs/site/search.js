// Search without a server: search-index.js has set SEARCH, a list of [title, page, path, text].
"use strict";
(function () {
  const box = document.querySelector("main input[type=search]");
  const list = document.querySelector("#results");
  const status = document.querySelector("#status");
  const MOST = 50;

  // How well an entry fits: all words have to be in it, and those in its title count for more, then where it is.
  function score(entry, words) {
    let sum = 0;
    for (const word of words) {
      if (entry.title.includes(word)) {
        sum += entry.title.split(/[^\w]+/).includes(word) ? 30 : 10;
      } else if (entry.page.includes(word)) {
        sum += 3;
      } else if (entry.text.includes(word)) {
        sum += 1;
      } else {
        return 0;
      }
    }
    return sum + 5 / (1 + entry.title.length);
  }

  const entries = SEARCH.map(([title, page, path, text]) => ({
    title: title.toLowerCase(), page: page.toLowerCase(), text: text.toLowerCase(), shown: { title, page, path, text },
  }));

  function snippet(text, words) {
    const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 60);
    return (at > 0 ? "... " : "") + text.slice(at, at + 180) + (at + 180 < text.length ? " ..." : "");
  }

  function show(query) {
    const words = query.toLowerCase().split(/[\s:.()]+/).filter(Boolean);
    list.replaceChildren();
    if (words.length === 0) {
      status.textContent = "";
      return;
    }
    const found = entries.map((entry) => [score(entry, words), entry.shown]).filter(([points]) => points > 0);
    found.sort((a, b) => b[0] - a[0]);
    status.textContent = found.length === 0 ? "Nothing has all of these words."
      : found.length + (found.length === 1 ? " result" : " results")
        + (found.length > MOST ? "; the first " + MOST + " are shown" : "");
    for (const [, { title, page, path, text }] of found.slice(0, MOST)) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = path;
      link.textContent = title;
      const where = document.createElement("span");
      where.className = "where";
      where.textContent = " " + page;
      const what = document.createElement("p");
      what.textContent = snippet(text, words);
      item.append(link, where, what);
      list.append(item);
    }
  }

  box.value = new URLSearchParams(location.search).get("q") || "";
  box.addEventListener("input", () => show(box.value));
  box.closest("form").addEventListener("submit", (event) => event.preventDefault());
  show(box.value);
  box.focus();
})();
