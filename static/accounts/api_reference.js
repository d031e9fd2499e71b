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

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.description,
  supportedSubmitMethods: [],
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
});
