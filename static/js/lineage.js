// A wide lineage opens with its focus in view; it scrolls by hand from there.
(() => {
  for (const frame of document.querySelectorAll(".lineage-frame")) {
    const node = frame.querySelector('[aria-current="true"]');
    if (!node) continue;
    const outer = frame.getBoundingClientRect();
    const inner = node.getBoundingClientRect();
    if (inner.right > outer.right || inner.left < outer.left)
      frame.scrollBy(inner.left - outer.left - (outer.width - inner.width) / 2, 0);
  }
})();
