// allauth's scripts tell of a passkey that was refused, cancelled or not found; the page says so.
document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  for (const notice of document.querySelectorAll("[data-passkey-trouble]")) notice.hidden = false;
});
