// The figures came with the page; each chart takes its own, and a click on a mark opens the rows behind it.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  window.dash_clientside = {
    ...window.dash_clientside,
    dashboards: {
      paint: (name) => window.dash_clientside.charts.paint(figures[name]),
      open: (clicked) => {
        const rows = clicked?.points[0].customdata;
        if (typeof rows === "string" && rows.startsWith("/")) location.assign(rows);
        return window.dash_clientside.no_update;
      },
    },
  };
})();
