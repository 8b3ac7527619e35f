// A wide lineage opens with its focus in view; it scrolls by hand from there. Arrow keys go from box to box.
(() => {
  const middle = (node) => {
    const box = node.getBoundingClientRect();
    return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  };

  // The nearest box that way; what lies aside counts double, so that the way feels straight.
  const next = (nodes, from, ahead, aside, sign) => {
    const here = middle(from);
    let best = null;
    let least = Infinity;
    for (const node of nodes) {
      const there = middle(node);
      const forward = sign * (there[ahead] - here[ahead]);
      const distance = forward + 2 * Math.abs(there[aside] - here[aside]);
      if (node !== from && forward > 1 && distance < least) [best, least] = [node, distance];
    }
    return best;
  };

  const ways = {
    ArrowRight: ["x", "y", 1],
    ArrowLeft: ["x", "y", -1],
    ArrowDown: ["y", "x", 1],
    ArrowUp: ["y", "x", -1],
  };

  for (const frame of document.querySelectorAll(".lineage-frame")) {
    const nodes = [...frame.querySelectorAll(".lineage-node")];
    frame.addEventListener("keydown", (event) => {
      const from = event.target.closest(".lineage-node");
      if (!from || !(event.key in ways) || event.ctrlKey || event.altKey || event.metaKey) return;
      const to = next(nodes, from, ...ways[event.key]);
      if (to) to.focus();
      event.preventDefault();
    });
    const node = frame.querySelector('[aria-current="true"]');
    if (!node) continue;
    const outer = frame.getBoundingClientRect();
    const inner = node.getBoundingClientRect();
    if (inner.right > outer.right || inner.left < outer.left)
      frame.scrollBy(inner.left - outer.left - (outer.width - inner.width) / 2, 0);
  }
})();
