/* Draws each [data-figure] from the JSON script of that id, in the colours of the theme; again when the theme changes. */
(() => {
  "use strict";
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);

  // tokens are light-dark() and oklch(): Plotly reads neither, a canvas pixel is always red, green and blue
  const colour = (token) => {
    probe.style.color = `var(--${token})`;
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = getComputedStyle(probe).color;
    brush.fillRect(0, 0, 1, 1);
    const [red, green, blue] = brush.getImageData(0, 0, 1, 1).data;
    return `rgb(${red},${green},${blue})`;
  };
  const themed = (value) => {
    if (typeof value === "string") return value.startsWith("token:") ? colour(value.slice(6)) : value;
    if (Array.isArray(value)) return value.map(themed);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, themed(inner)]));
    }
    return value;
  };
  const draw = () => {
    for (const place of document.querySelectorAll("[data-figure]")) {
      const { data, layout } = themed(JSON.parse(document.getElementById(place.dataset.figure).textContent));
      layout.font.family = getComputedStyle(document.body).fontFamily;
      Plotly.react(place, data, layout, { responsive: true, displayModeBar: false, staticPlot: false });
    }
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
})();
