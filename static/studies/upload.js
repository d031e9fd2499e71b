// The upload pages with JavaScript: files wait in a list, are sent two at a time with their progress, and each gets
// the server's own answer (studies/_upload_result.html). Without it the form is sent as it is.

const AT_ONCE = 2;

const form = document.querySelector("[data-upload]");
const find = (name, root = document) => root.querySelector(`[data-${name}]`);
const zone = find("drop-zone");
const input = form.elements.files;
const queue = find("queue");
const interruption = find("interruption");
const template = find("upload-row");
const maxBytes = Number(form.dataset.maxBytes);

let uploads = [];
let paused = false; // signed out or offline: nothing more is sent until the reader says so

const size = (bytes) => (bytes < 2 ** 20 ? `${Math.ceil(bytes / 2 ** 10)} kB` : `${+(bytes / 2 ** 20).toFixed(1)} MB`);
const inState = (...states) => uploads.filter((upload) => states.includes(upload.state));
// One a file, kept when it is sent again. `crypto.randomUUID` is there under HTTPS alone.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const parse = (html) => new DOMParser().parseFromString(html, "text/html");

class Upload {
  constructor(file) {
    this.file = file;
    this.key = newKey();
    this.row = template.content.firstElementChild.cloneNode(true);
    this.bar = find("bar", this.row);
    find("name", this.row).textContent = file.name;
    find("size", this.row).textContent = size(file.size);
    find("remove", this.row).addEventListener("click", () => this.remove());
    find("retry", this.row).addEventListener("click", () => resume([this]));
    this.row.addEventListener("keydown", ({ key, target }) => {
      if (key === "Enter" && target.matches("[data-mrn]")) resume([this]);
    });
    this.preview();
    queue.append(this.row);
    if (file.size > maxBytes) this.set("refused", `Larger than ${size(maxBytes)}. Export a smaller file.`);
    else this.set("ready", "Ready to upload");
  }

  preview() {
    if (!/^image\/(png|jpeg|webp)$/.test(this.file.type)) return; // no browser shows DICOM, few show TIFF
    const image = new Image();
    const release = () => URL.revokeObjectURL(image.src);
    image.alt = "";
    image.onload = () => {
      find("thumbnail", this.row).replaceChildren(image);
      release();
    };
    image.onerror = release;
    image.src = URL.createObjectURL(this.file);
  }

  /** States: ready, waiting, sending, then done, refused, failed, cancelled or interrupted. */
  set(state, text = "") {
    this.state = this.row.dataset.state = state;
    find("info", this.row).hidden = state === "done";
    find("status", this.row).textContent = text;
    this.bar.hidden = state !== "sending";
    find("refused", this.row).hidden = state !== "refused";
    find("retry", this.row).hidden = !["failed", "cancelled", "interrupted"].includes(state);
    find("remove", this.row).textContent = { sending: "Cancel", done: "Hide" }[state] ?? "Remove";
  }

  remove() {
    if (this.state === "sending") return this.request.abort();
    uploads = uploads.filter((upload) => upload !== this);
    this.row.remove();
    summarise();
  }

  send() {
    const body = new FormData(form);
    body.set("files", this.file);
    body.set("submission", this.key);
    body.set("mrn", find("mrn", this.row)?.value ?? "");
    this.bar.value = 0;
    this.set("sending", "Uploading");
    find("answer", this.row).replaceChildren();
    const request = (this.request = new XMLHttpRequest());
    request.open("POST", location.href);
    request.setRequestHeader("HX-Request", "true");
    request.upload.onprogress = ({ loaded, total }) => this.progress(loaded / total);
    request.onload = () => this.answered(request);
    request.onerror = () => this.interrupt("The connection was lost.");
    request.onabort = () => this.set("cancelled", "Cancelled");
    request.onloadend = pump;
    request.send(body);
  }

  progress(share) {
    if (share < 1) this.bar.value = share;
    else this.bar.removeAttribute("value");
    find("status", this.row).textContent = share < 1 ? `Uploading, ${Math.floor(share * 100)} %` : "Reading the file…";
  }

  answered(request) {
    const { status, responseText } = request;
    if (status === 401) return this.interrupt("You were signed out.", true);
    if (status === 403) return this.renew();
    if (status === 429) return this.set("failed", "Too many files in a minute. Wait a little, then try again.");
    if (status === 413) return this.set("refused", "The server takes no file as large as this.");
    if (status >= 500 && status !== 507) return this.set("failed", `The server failed (error ${status}). Try again.`);
    const answer = parse(responseText);
    const result = find("upload-result", answer);
    if (!result) return this.fail(answer.querySelector(".notice p")?.textContent ?? `Error ${status}`, request);
    find("answer", this.row).replaceChildren(result);
    window.htmx?.process(result);
    this.set("done");
    // Not the file's fault: the disk was full, or the patient has yet to be created.
    find("retry", this.row).hidden = !("again" in result.dataset);
  }

  fail(sentence, request) {
    this.set("failed", sentence);
    const names = request.getResponseHeader("Invalid-Fields")?.match(/\w+/g) ?? [];
    for (const name of names) mark(form.elements[name], sentence);
  }

  /** The form's token is that of an earlier sign-in: once, take a new one and send the file again. */
  renew() {
    this.interrupt("You were signed out.", true);
    if (!this.renewed) resume();
    this.renewed = true;
  }

  interrupt(sentence, signedOut = false) {
    paused = true;
    this.set("interrupted", "Interrupted");
    explain(`${sentence} The files stay on this page; nothing is lost.`, signedOut);
  }
}

function explain(sentence, signedOut) {
  find("message", interruption).textContent = sentence;
  find("sign-in", interruption).hidden = !signedOut;
  interruption.hidden = false;
}

/** What all files share is wrong: said at the field, once, until it is changed. */
function mark(field, sentence) {
  unmark(field);
  field.setAttribute("aria-invalid", "true");
  const error = Object.assign(document.createElement("p"), { className: "errors", textContent: sentence });
  field.closest(".field")?.append(error);
}

function unmark(field) {
  field.removeAttribute("aria-invalid");
  field.closest(".field")?.querySelector(".errors")?.remove();
}

function add(files) {
  uploads.push(...Array.from(files, (file) => new Upload(file)));
  summarise();
}

function pump() {
  const free = AT_ONCE - inState("sending").length;
  if (!paused) for (const upload of inState("waiting").slice(0, free)) upload.send();
  summarise();
}

function start(chosen) {
  for (const upload of chosen) upload.set("waiting", "Waiting");
  pump();
}

async function resume(chosen = []) {
  if (paused && !(await renewToken())) return;
  paused = false;
  interruption.hidden = true;
  start(new Set([...chosen, ...inState("interrupted")]));
}

/** Every sign-in makes a new token, and this page, fetched anew, has it. False when the page is out of reach. */
async function renewToken() {
  try {
    const page = parse(await (await fetch(location.href)).text());
    const fresh = find("upload", page)?.elements.csrfmiddlewaretoken;
    if (fresh) form.elements.csrfmiddlewaretoken.value = fresh.value;
    else explain("The portal asks you to sign in again. Do that in a new tab, then try again here; the files stay on this page.", true);
    return Boolean(fresh);
  } catch {
    explain("There is still no connection. The files stay on this page.", false);
    return false;
  }
}

function summarise() {
  const ready = inState("ready").length;
  const failed = inState("failed").length;
  const number = ready + failed;
  find("submit").disabled = !number;
  const what = ready ? "radiographs" : "again";
  find("submit-label").textContent = number > 1 ? `Upload ${number} ${what}` : failed ? "Upload again" : "Upload";
  const sent = uploads.some((upload) => upload.request) && uploads.length - ready; // one too large is refused unsent
  find("progress").textContent = sent ? `${inState("done", "refused").length} of ${sent} files done${outcomes()}` : "";
}

const OUTCOMES = { queued: "uploaded", duplicate: "uploaded before", unmatched: "without a patient", refused: "refused" };

/** ": 12 uploaded, 1 refused", as the rows say; an answer to a question changes its row later. */
function outcomes() {
  const counts = Object.entries(OUTCOMES).map(([outcome, words]) => {
    const rows = queue.querySelectorAll(`[data-state="done"] [data-upload-result="${outcome}"], [data-state="${outcome}"]`);
    return rows.length && `${rows.length} ${words}`;
  });
  const said = counts.filter(Boolean).join(", ");
  return said && `: ${said}`;
}

zone.classList.add("live");
find("with-script").hidden = false;
find("without-script").hidden = true;
summarise();

input.addEventListener("change", () => {
  add(input.files);
  input.value = ""; // the same file may be chosen again after it was removed
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  start(inState("ready", "failed"));
});
form.addEventListener("input", ({ target }) => unmark(target));
find("resume").addEventListener("click", () => resume());
queue.addEventListener("htmx:afterSettle", summarise);

// The whole page takes files: one dropped beside the zone must not replace the page.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) zone.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  add(event.dataTransfer.files);
});

addEventListener("beforeunload", (event) => {
  if (inState("ready", "waiting", "sending", "interrupted", "failed").length) event.preventDefault();
});
