"use strict";

// The button is there only where a browser may copy: over HTTPS, and on this machine.
const button = document.querySelector("[data-copies]");
if (button && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent.trim());
    button.querySelector("span").textContent = "Copied";
  });
}
