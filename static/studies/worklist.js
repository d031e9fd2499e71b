// The worklist with JavaScript: keys go from study to study (they are told in studies/worklist.html), and a refresh
// by htmx leaves the focus and what was scrolled sideways where they were.

const list = () => document.getElementById("studies");
const rows = () => [...list().querySelectorAll(".row-link")];
const help = document.querySelector("[data-keys]");
const helpButton = document.querySelector("[data-help]");
const keysOn = document.querySelector("[data-keys-on]");
const search = document.getElementById("id_q");

const OFF = "worklist-keys-off";
const remembered = (use) => {
  try {
    return use(localStorage);
  } catch {
    return null; // storage may be forbidden; the keys then are on
  }
};

function go(step) {
  const links = rows();
  const here = links.indexOf(document.activeElement);
  const next = here < 0 ? (step > 0 ? 0 : links.length - 1) : here + step;
  links[next]?.focus();
  links[next]?.closest("tr").scrollIntoView({ block: "nearest" });
}

const KEYS = {
  j: () => go(1),
  k: () => go(-1),
  "/": () => search.select(),
  "?": () => help.showModal(),
};
const ROW_KEYS = { ArrowDown: KEYS.j, ArrowUp: KEYS.k };

keysOn.checked = !remembered((storage) => storage.getItem(OFF));
keysOn.addEventListener("change", () => {
  remembered((storage) => (keysOn.checked ? storage.removeItem(OFF) : storage.setItem(OFF, "1")));
});
helpButton.hidden = false;
helpButton.addEventListener("click", KEYS["?"]);

document.addEventListener("keydown", (event) => {
  if (!keysOn.checked || help.open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const act = KEYS[event.key] ?? (event.target.matches(".row-link") && ROW_KEYS[event.key]);
  if (!act) return;
  event.preventDefault();
  act();
});

// htmx gives the focus back to the same study. One that has left the list hands it to the study in its place.
let before;
document.addEventListener("htmx:beforeSwap", ({ target }) => {
  if (target.id !== "studies") return;
  const sideways = [".chips", ".table-frame"].map((part) => [part, list().querySelector(part)?.scrollLeft]);
  before = { sideways, row: rows().indexOf(document.activeElement) };
});
document.addEventListener("htmx:afterSettle", () => {
  if (!before || !list()) return;
  for (const [part, left] of before.sideways) {
    const element = list().querySelector(part);
    if (element && left) element.scrollLeft = left;
  }
  if (before.row >= 0 && document.activeElement === document.body) {
    const links = rows();
    links[Math.min(before.row, links.length - 1)]?.focus({ preventScroll: true });
  }
  before = undefined;
});
