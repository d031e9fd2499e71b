// Paints the figures that the server has drawn, in the colours of the reader's theme, and starts Dash.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // The theme of the page around this frame, see portal.js.
  const followTheme = () => {
    let theme = null;
    try {
      theme = localStorage.getItem("theme");
    } catch {
      // storage may be forbidden; the theme then follows the system
    }
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  let laidOut = false; // until then there is nothing to paint anew, and Dash would fail to find it
  const repaint = () => laidOut && window.dash_clientside.set_props("theme", { data: Date.now() });
  followTheme();
  addEventListener("storage", followTheme);
  new MutationObserver(repaint).observe(root, { attributeFilter: ["data-theme"] });
  dark.addEventListener("change", repaint);

  // Plotly knows no CSS variables: each "var(--name)" in a figure becomes the colour it has here and now.
  const probe = document.createElement("span");
  document.body.append(probe);
  const resolved = (value) => {
    if (typeof value === "string" && value.startsWith("var(--")) {
      probe.style.color = value;
      return getComputedStyle(probe).color;
    }
    if (Array.isArray(value)) return value.map(resolved);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolved(inner)]));
    }
    return value;
  };

  const paint = (drawing) => {
    laidOut = true;
    return resolved(drawing);
  };
  window.dash_clientside = { ...window.dash_clientside, charts: { paint } };
  new window.DashRenderer();
})();
