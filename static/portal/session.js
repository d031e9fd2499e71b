// Signs out whoever does nothing, as the server does anyway, so that no patient stays on an unattended screen; asks
// two minutes before. The server alone knows how long is left: another tab may be at work.
(() => {
  const dialog = document.querySelector("[data-idle]");
  if (!dialog) return;
  const { url, seconds } = dialog.dataset;
  const idle = 1000 * Number(seconds);
  const warning = Math.min(120_000, idle / 2);
  const pace = Math.min(60_000, idle / 15); // between two reports of activity
  const headers = { Accept: "application/json", ...JSON.parse(document.body.getAttribute("hx-headers")) };
  let ends = Date.now() + idle;
  let reported = Date.now();
  let asked = 0;
  let isActive = false;
  let isLeaving = false;

  // The page as it can be opened: the server then says why, asks to sign in, and leads back here.
  function leave() {
    if (isLeaving) return;
    isLeaving = true;
    location.assign(location.pathname + location.search);
  }

  async function ask(method) {
    asked = Date.now();
    if (method === "POST") [reported, isActive] = [asked, false];
    try {
      const response = await fetch(url, { method, headers, cache: "no-store" });
      if (response.status === 401) return leave();
      if (response.ok) ends = Date.now() + 1000 * (await response.json()).seconds;
    } catch {
      // no network: what was known before counts on
    }
    show();
  }

  function show() {
    const left = ends - Date.now();
    if (left > warning) {
      if (dialog.open) dialog.close("another tab");
      return;
    }
    const whole = Math.max(0, Math.ceil(left / 1000));
    dialog.querySelector("[data-idle-left]").textContent =
      whole > 90 ? "2 minutes" : whole === 1 ? "1 second" : `${whole} seconds`;
    if (!dialog.open) {
      dialog.returnValue = "";
      dialog.showModal();
    }
  }

  function tick() {
    const now = Date.now();
    if (now > ends + 5_000) leave(); // even where the server cannot be asked
    else if (isActive && now - reported > pace) ask("POST");
    else if (ends - now <= warning && (!dialog.open || now > ends || now - asked > Math.min(5_000, pace))) ask("GET");
    else if (dialog.open) show();
  }

  // However it was closed, whoever did so is there.
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "another tab") ask("POST");
  });
  for (const kind of ["pointerdown", "keydown", "wheel", "touchstart", "input"]) {
    addEventListener(
      kind,
      () => {
        if (dialog.open) return;
        isActive = true;
        if (Date.now() - reported > pace) ask("POST");
      },
      { capture: true, passive: true },
    );
  }
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 1000);
})();
