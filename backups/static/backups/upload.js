/* Sends an archive in pieces, and goes on by itself where it stopped: after a lost connection, a restore of the site, a login in
   another window; after a reload when the same file is chosen again. The server says how far it is; nothing is kept here.
   Without this script the form sends the file in one go. */

(() => {
  "use strict";

  const form = document.getElementById("upload-form");
  if (!form) return;

  // Bytes of the smallest piece: what stands before the site may refuse larger ones.
  const SMALLEST = 64 * 1024;
  // Seconds without a byte on its way after which a connection counts as lost, and between two attempts.
  const SILENCE = 60;
  const PAUSES = [1, 2, 4, 8, 15, 30];
  const LONGEST = 15;

  /** What passes by itself; `seconds` to the next attempt, where the server has said so. */
  class Later extends Error {
    constructor(message, seconds) {
      super(message);
      this.seconds = seconds;
    }
  }

  /** What a person has to do something about. */
  class Refused extends Error {}

  const at = (name) => document.getElementById(`upload-${name}`);
  const [field, submit] = [at("archive"), form.querySelector("button")];

  // --- what is seen --------------------------------------------------------------------------------------------------------

  const units = ["bytes", "kB", "MB", "GB", "TB"];

  function human(count) {
    let unit = 0;
    while (count >= 1000 && unit < units.length - 1) {
      count /= 1000;
      unit += 1;
    }
    return `${count.toFixed(unit < 2 ? 0 : 1)} ${units[unit]}`;
  }

  /** One sentence, read aloud when it changes; how far it is stands beside it and is not. */
  function say(sentence, kind = "") {
    const shown = at("sentence");
    if (shown.textContent !== sentence) shown.textContent = sentence;
    at("state").dataset.kind = kind;
  }

  const rate = { since: 0, from: 0 };
  const drawn = { sent: 0, size: 0 };

  /** While nothing is on its way there is neither a rate nor a time left. */
  function still() {
    rate.since = Infinity;
    draw(drawn.sent, drawn.size);
  }

  function draw(sent, size) {
    Object.assign(drawn, { sent, size });
    const percent = size ? Math.floor((100 * sent) / size) : 0;
    at("progress").value = percent;
    const seconds = (performance.now() - rate.since) / 1000;
    const speed = seconds > 1 ? (sent - rate.from) / seconds : 0;
    const left = speed > 0 && sent < size ? ` · ${human(speed)}/s · about ${duration((size - sent) / speed)} left` : "";
    at("amount").textContent = `${percent} % · ${human(sent)} of ${human(size)}${left}`;
  }

  function duration(seconds) {
    if (seconds < 90) return `${Math.ceil(seconds)} s`;
    const minutes = Math.ceil(seconds / 60);
    return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  // --- asking the server ----------------------------------------------------------------------------------------------------

  function token() {
    // From the cookie: a login in another window makes a new one, and the form's is that of before.
    const found = document.cookie.split("; ").find((cookie) => cookie.startsWith(`${form.dataset.cookie}=`));
    return found ? found.slice(found.indexOf("=") + 1) : form.elements.csrfmiddlewaretoken.value;
  }

  let current = null;

  /** One request. `fetch` cannot tell how much of a body is sent, hence XMLHttpRequest. */
  function ask(method, path, { body = null, headers = {}, onSent = () => {} } = {}) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      let watch = 0;
      const alive = () => {
        clearTimeout(watch);
        watch = setTimeout(() => request.abort(), SILENCE * 1000);
      };
      request.open(method, path);
      request.setRequestHeader("Accept", "application/json");
      request.setRequestHeader("X-CSRFToken", token());
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.upload.onprogress = (event) => {
        alive();
        onSent(event.loaded);
      };
      request.onload = () => resolve(request);
      request.onerror = request.onabort = () => reject(new Later("The connection to the site is lost."));
      request.onloadend = () => {
        clearTimeout(watch);
        current = null;
      };
      alive();
      current = request;
      request.send(body);
    });
  }

  /** The answer, if it is one of `wanted`; else what has to happen before the next attempt. */
  function judged(request, path, ...wanted) {
    const status = request.status;
    if (new URL(request.responseURL).pathname !== new URL(path, location.href).pathname) {
      throw new Later("You are logged out. Log in again in another window.", 5);
    }
    if (wanted.includes(status)) return request;
    if (status === 503) {
      // The gate may say a minute, which is long for somebody who looks on; asking costs next to nothing.
      throw new Later("The site is not available just now.", Math.min(LONGEST, Number(request.getResponseHeader("Retry-After")) || 5));
    }
    if (status === 403) throw new Refused("This account may not upload archives here. Log in as the one that began, then try again.");
    if (status === 404) throw new Refused("The upload is not there any more: it was taken in, thrown away, or idle for too long.");
    if (status === 408 || status === 429 || status >= 500) {
      const sentence = told(request);
      if (status === 507 && sentence) throw new Refused(sentence);
      throw new Later(`The site could not answer (${status}).`);
    }
    throw new Refused(told(request) || `The site has refused it (${status}).`);
  }

  function told(request) {
    try {
      const { error, state, next_step: next } = JSON.parse(request.responseText);
      return [error, state, next].filter(Boolean).join(" ");
    } catch {
      return "";
    }
  }

  let wake = () => {};
  window.addEventListener("online", () => wake());

  /** Wait until the next attempt, the network's return, or the end of a pause. */
  async function waited(later, attempt) {
    const seconds = later.seconds ?? PAUSES[Math.min(attempt, PAUSES.length - 1)];
    still();
    say(`${later.message} The upload waits, and goes on by itself: it tries again every ${seconds} s.`, "waiting");
    await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, seconds * 1000);
    });
  }

  /** Do `attempt` until it succeeds, or is refused. */
  async function patiently(attempt) {
    for (let failed = 0; ; failed += 1) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof Later)) throw error;
        await waited(error, failed);
      }
    }
  }

  async function begun(file) {
    const body = new URLSearchParams({ name: file.name, size: file.size, last_modified: file.lastModified });
    const path = form.dataset.start;
    return JSON.parse(judged(await ask("POST", path, { body }), path, 201).responseText);
  }

  async function finished(facts, sha256) {
    const body = new URLSearchParams({ sha256 });
    return JSON.parse(judged(await ask("POST", facts.finish, { body }), facts.finish, 200).responseText).next;
  }

  async function offsetNow(facts) {
    return Number(judged(await ask("HEAD", facts.pieces), facts.pieces, 200).getResponseHeader("Upload-Offset"));
  }

  // --- sending --------------------------------------------------------------------------------------------------------------

  let paused = null;

  /** Send a piece, and return where the upload ends then; null where pieces have to be smaller. */
  async function sent(file, facts, offset, length) {
    const request = await ask("PATCH", facts.pieces, {
      body: file.slice(offset, offset + length),
      headers: { "Content-Type": "application/octet-stream", "Upload-Offset": String(offset) },
      onSent: (count) => draw(Math.min(offset + count, file.size), file.size),
    });
    if (request.status === 413 && length > SMALLEST) return null;
    return Number(judged(request, facts.pieces, 204, 409).getResponseHeader("Upload-Offset"));
  }

  async function sendAll(file, facts) {
    let offset = facts.offset;
    let length = facts.piece;
    let failed = 0;
    Object.assign(rate, { since: performance.now(), from: offset });
    while (offset < file.size) {
      if (paused) await paused.over;
      say(facts.offset ? "Sending, from where it stopped." : "Sending.");
      draw(offset, file.size);
      try {
        const reached = await sent(file, facts, offset, length);
        if (reached === null) length = Math.max(SMALLEST, length / 2);
        else offset = reached;
        failed = 0;
      } catch (error) {
        if (!(error instanceof Later)) throw error;
        await readable(file, offset);
        if (!paused) await waited(error, failed);
        failed += 1;
        offset = await patiently(() => offsetNow(facts));
        Object.assign(rate, { since: performance.now(), from: offset });
      }
    }
    draw(offset, file.size);
  }

  /** A file that was changed or taken away fails like a lost connection. */
  async function readable(file, offset) {
    try {
      await file.slice(offset, offset + 1).arrayBuffer();
    } catch {
      throw new Refused("The file cannot be read any more: it was changed, moved or removed. Choose it again.");
    }
  }

  /** The SHA-256 of the file, counted by a worker; empty where the browser has none. */
  function counted(file) {
    return new Promise((resolve, reject) => {
      let worker;
      try {
        worker = new Worker(form.dataset.hash);
      } catch {
        resolve("");
        return;
      }
      worker.onerror = () => resolve("");
      worker.onmessage = ({ data }) => {
        if (data.error) reject(new Refused("The file cannot be read any more: it was changed, moved or removed. Choose it again."));
        else if (data.sha256) resolve(data.sha256);
        else at("hash").textContent = `counted up to ${Math.floor((100 * data.done) / file.size)} %`;
        if (data.error || data.sha256) worker.terminate();
      };
      worker.postMessage(file);
    }).then((sha256) => {
      at("hash").textContent = sha256 || "not counted by this browser";
      return sha256;
    });
  }

  async function upload(file) {
    at("name").textContent = file.name;
    at("state").hidden = false;
    at("again").hidden = true;
    at("pause").hidden = false;
    submit.disabled = field.disabled = true;
    // What it says of this very file would soon be wrong.
    if (at("list")) at("list").hidden = true;
    try {
      say("Asking the site where to begin.");
      draw(0, file.size);
      const facts = await patiently(() => begun(file));
      const counting = counted(file);
      counting.catch(() => {}); // it is awaited below, perhaps much later
      await sendAll(file, facts);
      at("pause").hidden = true;
      say("All is sent. Waiting for the browser's own SHA-256, to be compared with the site's.");
      const sha256 = await counting;
      say("All is sent. Asking the site to take it in.");
      location.assign(await patiently(() => finished(facts, sha256)));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message, "error");
      at("pause").hidden = true;
      at("again").hidden = false;
      submit.disabled = field.disabled = false;
    }
  }

  at("pause").addEventListener("click", () => {
    if (paused) {
      paused.end();
      paused = null;
      at("pause").textContent = "Pause";
      wake();
      return;
    }
    paused = {};
    paused.over = new Promise((resolve) => {
      paused.end = resolve;
    });
    at("pause").textContent = "Go on";
    if (current) current.abort();
    still();
    say("Paused. What has come is kept for three days.", "waiting");
  });

  at("again").addEventListener("click", () => form.requestSubmit());

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.files.length) upload(field.files[0]);
  });
})();
