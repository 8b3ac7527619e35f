// Ctrl K: a dialog over the page /find. Without this file the link in the top bar opens that page.
(() => {
  const dialog = document.getElementById("palette");
  if (!dialog || !dialog.showModal) return;
  const form = dialog.querySelector("form");
  const input = form.elements.q;
  const results = document.getElementById("palette-results");
  const live = document.getElementById("live");
  let asked = 0;
  let timer = 0;
  let selected = -1;

  const links = () => [...results.querySelectorAll("a.result")];
  const open = () => {
    if (dialog.open) return;
    dialog.showModal();
    input.select();
    ask();
  };
  const select = (index) => {
    const all = links();
    for (const link of all) link.classList.remove("selected");
    selected = all.length ? (index + all.length) % all.length : -1;
    if (selected < 0) return;
    all[selected].classList.add("selected");
    all[selected].scrollIntoView({ block: "nearest" });
    live.textContent = all[selected].textContent.trim();
  };
  const say = (sentence) => {
    const line = document.createElement("p");
    line.className = "results-none";
    line.textContent = sentence;
    results.replaceChildren(line);
  };
  const ask = async () => {
    const number = ++asked;
    const address = new URL(form.action);
    address.searchParams.set("q", input.value);
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      const found = await answer.json();
      if (number !== asked) return;
      results.innerHTML = found.html;
      if (links().length) select(0);
      else if (input.value.trim()) say(results.dataset.empty);
    } catch {
      if (number === asked) say(results.dataset.failed);
    }
  };

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-palette-open]") && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      open();
    } else if (event.target.closest("[data-palette-close]") || event.target === dialog) {
      dialog.close();
    }
  });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 120);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      select(selected + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Escape") {
      // a search field takes the first Escape to empty itself
      event.preventDefault();
      dialog.close();
    }
  });
  form.addEventListener("submit", (event) => {
    const chosen = links()[selected];
    if (!chosen) return;
    event.preventDefault();
    location.assign(chosen.href);
  });
})();
