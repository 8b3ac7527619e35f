/* Draws each [data-figure] from the JSON script of that id, in the colours of the theme; again when the theme changes or its
   width; on a telephone labels stand above their lines. */
(() => {
  "use strict";
  const NARROW = 520;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);

  // tokens are light-dark() and oklch(): Plotly reads neither, a canvas pixel is always red, green and blue
  const pixel = (token) => {
    probe.style.color = `var(--${token})`;
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = getComputedStyle(probe).color;
    brush.fillRect(0, 0, 1, 1);
    return [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const rgb = (parts) => `rgb(${parts.map(Math.round).join(",")})`;
  // "scale:0.3" is what a colour scale of the tokens low, mid and high has at 0.3
  const mixed = (share) => {
    const [from, to] = share < 0.5 ? ["low", "mid"] : ["mid", "high"];
    const [one, two] = [pixel(from), pixel(to)];
    const part = (share % 0.5) * 2 || (share === 1 ? 1 : 0);
    return rgb(one.map((value, i) => value + (two[i] - value) * part));
  };
  const themed = (value) => {
    if (typeof value === "string") {
      if (value.startsWith("token:")) return rgb(pixel(value.slice(6)));
      return value.startsWith("scale:") ? mixed(Number(value.slice(6))) : value;
    }
    if (Array.isArray(value)) return value.map(themed);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, themed(inner)]));
    }
    return value;
  };
  const fitted = (layout, narrow, width) => {
    if (!narrow || width >= NARROW) return layout;
    const { labels = [], xaxis = {}, yaxis = {}, annotations, ...rest } = narrow;
    return {
      ...layout,
      ...rest,
      xaxis: { ...layout.xaxis, ...xaxis },
      yaxis: { ...layout.yaxis, ...yaxis },
      annotations: [...(annotations || layout.annotations || []), ...labels],
    };
  };
  const places = [...document.querySelectorAll("[data-figure]")];
  const drawn = new WeakMap();
  const draw = (place) => {
    const { data, layout, narrow } = themed(JSON.parse(document.getElementById(place.dataset.figure).textContent));
    const width = place.clientWidth;
    const made = fitted(layout, narrow, width);
    made.font.family = getComputedStyle(document.body).fontFamily;
    // Plotly's own way to follow the width would give up the height as well
    made.width = width;
    drawn.set(place, width);
    const shown = Plotly.react(place, data, made, { displayModeBar: false, staticPlot: false });
    shown.then(() => { place.dataset.drawn = width < NARROW ? "narrow" : "wide"; });
  };
  const drawAll = () => places.forEach(draw);
  drawAll();
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) if (drawn.get(target) !== target.clientWidth) draw(target);
  });
  places.forEach((place) => watch.observe(place));
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", drawAll);
  new MutationObserver(drawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
})();
