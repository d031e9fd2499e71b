// <radiograph-viewer> (studies/_viewer.html): zoom, pan, window, heat map and regions of one radiograph.
// The picture is an <img> under a CSS transform, so that the graphics card does the work. The regions lie in a
// layer of their own that is placed but not scaled: their lines and labels keep their size at any zoom.

const STEP = 1.25;
const STRIDE = 60; // pixels a press of an arrow key moves
const SLIDERS = { brightness: 100, contrast: 100, opacity: 60 }; // per cent
const TOGGLES = { inverted: false, regions: true, heatMap: false };
const AS_TAKEN = { quarters: 0, mirrored: false }; // first mirrored, then turned clockwise
const KEYS = {
  "+": "zoom-in",
  "=": "zoom-in",
  "-": "zoom-out",
  0: "fit",
  f: "full-screen",
  t: "turn",
  m: "mirror",
  "?": "help",
  Backspace: "reset",
};
const TOGGLE_KEYS = { i: "inverted", r: "regions", h: "heatMap", l: "linked" };
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const middle = ([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) });

// How far the edges of a region lie from those of the picture, as it stands.
function inset({ x0, y0, x1, y1 }, { quarters, mirrored }) {
  let [top, right, bottom, left] = [y0, 1 - x1, 1 - y1, x0];
  if (mirrored) [left, right] = [right, left];
  for (let turn = 0; turn < quarters; turn++) [top, right, bottom, left] = [left, top, right, bottom];
  return [top, right, bottom, left].map((share) => `${share * 100}%`).join(" ");
}

class RadiographViewer extends HTMLElement {
  connectedCallback() {
    const find = (name) => this.querySelector(`[data-${name}]`);
    this.stage = find("stage");
    this.pixels = find("pixels");
    this.image = find("radiograph");
    this.heat = find("heat-map");
    this.outlines = find("regions");
    this.caption = find("caption");
    this.message = find("stage-message");
    this.help = find("help");
    this.zoomLabel = find("zoom");
    this.pointers = new Map();
    Object.assign(this, SLIDERS, TOGGLES, AS_TAKEN, { standing: "", scale: 1, x: 0, y: 0, fitted: true, linked: false });

    this.stage.tabIndex = 0;
    this.stage.role = "application";
    this.stage.ariaLabel = this.stage.dataset.label;
    find("toolbar").hidden = false;
    if (!document.fullscreenEnabled) this.querySelector('[data-action="full-screen"]').hidden = true;
    this.listen();
    this.show("loading");
    if (this.image.complete) this.settle();
  }

  disconnectedCallback() {
    this.observer.disconnect();
  }

  listen() {
    this.image.addEventListener("load", () => this.settle());
    this.image.addEventListener("error", () => this.settle());
    this.heat?.addEventListener("error", () => {
      this.caption.textContent = "The heat map could not be loaded.";
    });
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.stage);
    this.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button?.dataset.action) this.act(button.dataset.action);
      if (button?.dataset.toggle) this.toggle(button.dataset.toggle);
    });
    this.querySelector("[data-overlay]")?.addEventListener("change", ({ target }) => {
      const { src, says } = target.selectedOptions[0].dataset;
      this.heat.removeAttribute("src");
      this.heat.dataset.src = src;
      this.caption.textContent = says;
      this.heatMap = true;
      this.paint();
    });
    this.addEventListener("input", (event) => {
      const { slider } = event.target.dataset;
      if (slider === "opacity") this.set({ opacity: Number(event.target.value), heatMap: true }); // else nothing moves
      else if (slider) this.both((viewer) => viewer.set({ [slider]: Number(event.target.value) }));
    });
    this.addEventListener("keydown", (event) => this.press(event));
    this.stage.addEventListener("wheel", (event) => this.roll(event), { passive: false });
    this.stage.addEventListener("dblclick", (event) => this.both((viewer) => viewer.zoom(2, this.at(event))));
    this.stage.addEventListener("pointerdown", (event) => this.grasp(event));
    this.stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) this.stage.addEventListener(end, (event) => this.release(event));
  }

  // --- loading -------------------------------------------------------------------------------------------------

  settle() {
    if (!this.image.naturalWidth) return this.show("error");
    const { naturalWidth: width, naturalHeight: height } = this.image;
    this.pixels.style.width = `${width}px`;
    this.pixels.style.height = `${height}px`;
    this.stage.style.setProperty("--ratio", width / height); // for print, where it stands as it was taken
    this.show("ready");
    this.orient();
  }

  show(state) {
    this.dataset.state = state;
    this.message.hidden = state === "ready";
    this.message.querySelector("[data-loading]").hidden = state !== "loading";
    this.message.querySelector("[data-error]").hidden = state !== "error";
  }

  // --- orientation: of the picture as it stands on the stage ---------------------------------------------------------

  orient({ quarters, mirrored } = this) {
    if (this.dataset.state !== "ready") return;
    const { naturalWidth: width, naturalHeight: height } = this.image;
    Object.assign(this, { quarters, mirrored });
    [this.width, this.height] = quarters % 2 ? [height, width] : [width, height];
    const back = [[0, 0], [height, 0], [width, height], [0, width]][quarters]; // to where the corner was
    const flip = mirrored ? ` translate(${width}px) scaleX(-1)` : "";
    this.standing = `translate(${back[0]}px, ${back[1]}px) rotate(${quarters * 90}deg)${flip}`;
    for (const region of this.querySelectorAll(".region")) {
      region.style.inset = inset(region.dataset, { quarters, mirrored });
      region.style.setProperty("--as-taken", inset(region.dataset, AS_TAKEN)); // for print
    }
    this.fit();
  }

  // --- geometry: scale is stage pixels per picture pixel, x and y where the picture's corner lies in the stage -----

  get fitScale() {
    return Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height);
  }

  fit() {
    this.scale = this.fitScale;
    this.move(0, 0);
  }

  resize() {
    if (this.dataset.state !== "ready") return;
    if (this.fitted) this.fit();
    else this.zoom(1);
  }

  zoom(factor, { x, y } = { x: this.stage.clientWidth / 2, y: this.stage.clientHeight / 2 }) {
    const scale = clamp(this.scale * factor, this.fitScale, Math.max(8 * this.fitScale, 4));
    const ratio = scale / this.scale;
    this.scale = scale;
    this.x = x - (x - this.x) * ratio;
    this.y = y - (y - this.y) * ratio;
    this.move(0, 0);
  }

  move(dx, dy) {
    const place = (from, room, size) => (size <= room ? (room - size) / 2 : clamp(from, room - size, 0));
    this.x = place(this.x + dx, this.stage.clientWidth, this.width * this.scale);
    this.y = place(this.y + dy, this.stage.clientHeight, this.height * this.scale);
    this.fitted = this.scale <= this.fitScale * 1.001;
    this.paint();
  }

  set(changes) {
    Object.assign(this, changes);
    this.paint();
  }

  paint() {
    const { scale, x, y } = this;
    this.pixels.style.transform = `translate(${x}px, ${y}px) scale(${scale}) ${this.standing}`;
    this.image.style.filter = `invert(${Number(this.inverted)}) brightness(${this.brightness}%) contrast(${this.contrast}%)`;
    if (this.heat) {
      this.heat.hidden = !this.heatMap;
      this.heat.style.opacity = this.opacity / 100;
      // Fetched when it is first asked for: looking at it is on record.
      if (this.heatMap && !this.heat.src) this.heat.src = this.heat.dataset.src;
      this.caption.hidden = !this.heatMap;
    }
    if (this.outlines) {
      this.outlines.hidden = !this.regions || this.dataset.state !== "ready";
      this.outlines.style.transform = `translate(${x}px, ${y}px)`;
      this.outlines.style.width = `${this.width * scale}px`;
      this.outlines.style.height = `${this.height * scale}px`;
    }
    this.stage.classList.toggle("zoomed", !this.fitted);
    this.zoomLabel.textContent = `${Math.round(scale * 100)} %`;
    for (const button of this.querySelectorAll("[data-toggle]")) button.ariaPressed = this[button.dataset.toggle];
    this.querySelector('[data-action="mirror"]').ariaPressed = this.mirrored;
    for (const slider of this.querySelectorAll("[data-slider]")) {
      slider.value = this[slider.dataset.slider];
      slider.ariaValueText = slider.nextElementSibling.textContent = `${slider.value} %`;
    }
  }

  // --- two films side by side, linked: from where each stands both move, zoom and brighten alike ---------------------

  get partner() {
    const viewers = this.closest(".pair")?.querySelectorAll("radiograph-viewer") ?? [];
    return [...viewers].find((viewer) => viewer !== this);
  }

  both(change) {
    change(this);
    if (this.linked && this.partner?.dataset.state === "ready") change(this.partner);
  }

  // --- what buttons and keys do ------------------------------------------------------------------------------------

  act(action) {
    if (action === "zoom-in") this.both((viewer) => viewer.zoom(STEP));
    if (action === "zoom-out") this.both((viewer) => viewer.zoom(1 / STEP));
    if (action === "fit") this.both((viewer) => viewer.fit());
    if (action === "help") this.help.showModal();
    if (action === "turn") this.orient({ quarters: (this.quarters + 1) % 4, mirrored: this.mirrored });
    // As it is seen: a turned picture that is mirrored is a mirrored one turned the other way.
    if (action === "mirror") this.orient({ quarters: (4 - this.quarters) % 4, mirrored: !this.mirrored });
    if (action === "reset") {
      this.both((viewer) => {
        Object.assign(viewer, SLIDERS, TOGGLES);
        viewer.orient(AS_TAKEN);
      });
    }
    if (action === "reload") {
      this.show("loading");
      this.image.src = this.image.getAttribute("src");
    }
    if (action === "full-screen") {
      if (document.fullscreenElement) document.exitFullscreen();
      else this.requestFullscreen();
    }
  }

  toggle(name) {
    if (!this.querySelector(`[data-toggle="${name}"]`)) return;
    const value = !this[name];
    if (name === "linked") for (const viewer of [this, this.partner]) viewer.set({ linked: value });
    else if (name === "inverted") this.both((viewer) => viewer.set({ inverted: value }));
    else this.set({ [name]: value });
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.help.open) return;
    const arrow = event.target === this.stage && ARROWS[event.key];
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (arrow) this.both((viewer) => viewer.move(arrow[0] * STRIDE, arrow[1] * STRIDE));
    else if (KEYS[key]) this.act(KEYS[key]);
    else if (TOGGLE_KEYS[key]) this.toggle(TOGGLE_KEYS[key]);
    else return;
    event.preventDefault();
  }

  // --- pointer, fingers, wheel -------------------------------------------------------------------------------------

  at(event) {
    const box = this.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  roll(event) {
    event.preventDefault();
    const pixels = event.deltaMode ? event.deltaY * 30 : event.deltaY;
    this.both((viewer) => viewer.zoom(Math.exp(-clamp(pixels, -200, 200) / 400), this.at(event)));
  }

  grasp(event) {
    if (event.button || event.target.closest("button")) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    this.stage.classList.add(event.shiftKey ? "windowing" : "dragging");
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.at(event);
    if (this.pointers.size === 2) {
      const was = middle([...this.pointers.values()]);
      this.pointers.set(event.pointerId, now);
      const is = middle([...this.pointers.values()]);
      return this.both((viewer) => {
        viewer.zoom(is.spread / was.spread, is);
        viewer.move(is.x - was.x, is.y - was.y);
      });
    }
    this.pointers.set(event.pointerId, now);
    if (!event.shiftKey) return this.both((viewer) => viewer.move(now.x - before.x, now.y - before.y));
    const brightness = clamp(this.brightness - (now.y - before.y) / 2, 20, 300);
    const contrast = clamp(this.contrast + (now.x - before.x) / 2, 20, 300);
    this.both((viewer) => viewer.set({ brightness, contrast }));
  }

  release(event) {
    this.pointers.delete(event.pointerId);
    this.stage.classList.remove("dragging", "windowing");
  }
}

customElements.define("radiograph-viewer", RadiographViewer);
