// The signs of Django's pairs of lists have a name and no role, so that nobody is told it. They are drawn at load, too.
addEventListener("load", () => {
  for (const sign of document.querySelectorAll(".help-tooltip[aria-label]")) sign.role = "img";
});
