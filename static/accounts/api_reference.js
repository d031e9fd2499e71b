"use strict";

const root = document.documentElement;
const place = document.getElementById("reference");
const system = matchMedia("(prefers-color-scheme: dark)");

// Swagger UI has a dark theme of its own: it follows the portal's.
function follow() {
  const theme = root.dataset.theme || (system.matches ? "dark" : "light");
  root.classList.toggle("dark-mode", theme === "dark");
}

new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });
system.addEventListener("change", follow);
follow();

// Its own layout has a head, which the page has already, and a second main part.
const parts = ["errors", "operations"];
const layout = ({ createElement }) =>
  ({ getComponent }) =>
    createElement("div", { className: "swagger-ui" }, ...parts.map((part) => createElement(getComponent(part, true))));

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.description,
  plugins: [({ React }) => ({ components: { Layout: layout(React) } })],
  layout: "Layout",
  supportedSubmitMethods: [],
  docExpansion: "list",
  onComplete: () => place.removeAttribute("aria-busy"),
});
