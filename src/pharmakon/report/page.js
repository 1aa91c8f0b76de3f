// Draws every chart in the reader's colour scheme, and again when the scheme changes.
(() => {
  "use strict";
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  // "var(--ink)" -> the colour; data and scale domains are text of the study and stay as they are
  const untouched = new Set(["datasets", "data", "domain", "sort"]);
  const paint = (node) => {
    if (typeof node === "string") return /^var\(--[\w-]+\)$/.test(node) ? css(node.slice(4, -1)) : node;
    if (Array.isArray(node)) return node.map(paint);
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, untouched.has(key) ? value : paint(value)]));
  };

  const config = () => ({
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: {
      labelColor: css("--muted"), titleColor: css("--muted"), tickColor: css("--line"), domainColor: css("--line"),
      gridColor: css("--line"), gridOpacity: 0.6, labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal",
      titlePadding: 8, labelPadding: 4,
    },
    legend: { labelColor: css("--muted"), labelFontSize: 11 },
  });

  const views = new Map();
  const chosen = () => document.querySelector("input[name=context]:checked")?.value;

  async function draw(box) {
    try {
      const spec = paint(JSON.parse(document.getElementById(box.dataset.spec).textContent));
      views.get(box)?.finalize();
      const drawn = await vegaEmbed(box, spec, { actions: false, renderer: "svg", ast: true, config: config() });
      views.set(box, drawn);
      const context = chosen();
      if (context !== undefined && box.dataset.switch) await drawn.view.signal("context", context).runAsync();
    } catch (error) {
      box.textContent = `This chart could not be drawn: ${error.message}`;
      box.classList.add("trouble");
    }
  }

  async function drawAll() {
    for (const box of document.querySelectorAll(".chart")) await draw(box);
    root.dataset.charts = "drawn";
  }

  for (const input of document.querySelectorAll("input[name=context]")) {
    input.addEventListener("change", () => {
      for (const [box, drawn] of views) {
        if (box.dataset.switch) drawn.view.signal("context", input.value).runAsync();
      }
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
