// Loaded in the head, before the page is painted: a chosen theme must not flash up as the other one.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  const remembered = {
    get() {
      try {
        return localStorage.getItem("theme");
      } catch {
        return null; // storage may be forbidden; the theme then follows the system
      }
    },
    set(theme) {
      try {
        if (theme) localStorage.setItem("theme", theme);
        else localStorage.removeItem("theme");
      } catch {
        // as above
      }
    },
  };

  const theme = remembered.get();
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("[data-theme-toggle]");
    const label = button.querySelector("[data-theme-label]");
    const show = () => {
      button.setAttribute("aria-pressed", String(isDark()));
      label.textContent = button.title = isDark() ? "Use the light theme" : "Use the dark theme";
    };
    show();
    button.hidden = false;
    dark.addEventListener("change", show);
    button.addEventListener("click", () => {
      const chosen = isDark() ? "light" : "dark";
      // Back to the system's own choice: nothing to remember.
      if ((chosen === "dark") === dark.matches) delete root.dataset.theme;
      else root.dataset.theme = chosen;
      remembered.set(root.dataset.theme);
      show();
    });

    // An open menu closes like any other: with Escape, or by going elsewhere.
    const menu = document.querySelector("details.menu");
    if (!menu) return;
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    menu.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });
})();

// A double click sends a form once. Forms that scripts send themselves see to it on their own.
document.addEventListener("submit", (event) => {
  const form = event.target;
  // Not form.method: that of a reading is its own field of that name.
  if (event.defaultPrevented || form.getAttribute("method") !== "post") return;
  if ("sent" in form.dataset) event.preventDefault();
  form.dataset.sent = "";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
