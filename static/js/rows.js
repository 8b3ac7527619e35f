// Lists by keyboard: j and k walk through rows and table rows that hold a link, Enter opens, as the browser does it.
(() => {
  const typing = (node) => node.closest("input, select, textarea, [contenteditable], dialog");
  const links = () =>
    [...document.querySelectorAll("main .rows > *, main .table tbody tr")]
      .map((row) => (row.matches("a[href]") ? row : row.querySelector("a[href]")))
      .filter(Boolean);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const step = { j: 1, k: -1 }[event.key];
    if (!step) return;
    const all = links();
    if (!all.length) return;
    const current = all.findIndex((link) => {
      const row = link.closest("tr, li, .row") || link;
      return row.contains(document.activeElement);
    });
    const next = current === -1 ? (step === 1 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, current + step));
    event.preventDefault();
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest" });
  });
})();
