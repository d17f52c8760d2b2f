/* What the team's pages have beyond plain forms and htmx: the clock of the running timer, single keys, and words for what failed.
   Everything can be done without this script. */

(() => {
  "use strict";

  const all = (selector) => document.querySelectorAll(selector);
  const keys = document.getElementById("keys");

  // --- the clock -----------------------------------------------------------------------------------------------------------

  // Milliseconds between two questions to the server, and by which this computer's clock may jump before it is asked at once.
  const ASK = 60000;
  const JUMP = 2000;

  // What the server's clock is ahead of this computer's. It is learned from each answer, so nothing here can drift.
  let ahead = 0;
  let steady = Date.now() - performance.now();

  const two = (number) => String(number).padStart(2, "0");
  const clock = (minutes) => `${Math.floor(minutes / 60)}:${two(minutes % 60)}`;

  function draw() {
    const now = Date.now() + ahead;
    for (const element of all("[data-since]")) {
      const seconds = Math.max(0, Math.floor((now - Number(element.dataset.since)) / 1000));
      const minutes = Math.floor(seconds / 60);
      let text = clock(minutes);
      if (element.dataset.show === "seconds") text += `:${two(seconds % 60)}`;
      if (element.dataset.agreed) {
        const left = Math.floor(element.dataset.agreed / 60) - minutes;
        text = `${clock(Math.abs(left))} ${left < 0 ? "over" : "to go"}`;
      }
      if (element.textContent !== text) element.textContent = text;
    }
  }

  /** Learn from a time that the server wrote; `since` is when it may have done so, on this computer's clock. */
  function learn(written, since) {
    ahead = written - (since + Date.now()) / 2;
    steady = Date.now() - performance.now();
  }

  // Parts of a page that a swap has left in place hold an old time.
  const read = new WeakSet();

  function learnFromPage() {
    for (const element of all("[data-now]")) {
      if (!read.has(element)) learn(Number(element.dataset.now), Date.now());
      read.add(element);
    }
  }

  function tick() {
    const moved = Date.now() - performance.now() - steady;
    if (Math.abs(moved) > JUMP) {
      // The clock was set, or the computer has slept.
      steady += moved;
      ask();
    }
    draw();
    // Just after the next full second of the server.
    setTimeout(tick, 1000 - ((Date.now() + ahead) % 1000) + 5);
  }

  let asking = false;

  /** Ask the server what time it is and which timer runs; where there is no answer, everything stays as it is. */
  async function ask() {
    if (asking || !keys || document.hidden) return;
    asking = true;
    const since = Date.now();
    try {
      const answer = await fetch(keys.dataset.clock, { headers: { Accept: "application/json" }, cache: "no-store", redirect: "error" });
      if (!answer.ok) return;
      const { now, ...current } = await answer.json();
      learn(now, since);
      draw();
      if ("running" in current) compare(current);
    } catch {
      // Away, or logged out: the next thing that is done here says so.
    } finally {
      asking = false;
    }
  }

  /** Another tab, or a phone, may have started or stopped a timer, or Today was left open overnight. What is being typed here stays. */
  function compare({ day, running, forgotten }) {
    const today = document.getElementById("today");
    if (!today) return;
    const { dataset } = today;
    const isSameTimer = dataset.running === String(running ?? "");
    if (isSameTimer && dataset.day === day && "forgotten" in dataset === forgotten) return;
    if (document.querySelector(".htmx-request")) return;
    if (isTyped(today)) {
      let what = "The timer was changed elsewhere.";
      if (isSameTimer) what = dataset.day === day ? "The timer has been running for very long." : "A new day has begun.";
      say(`${what} What you have typed is still here; this page shows the rest when you load it again.`, "warning");
    } else {
      htmx.ajax("GET", today.dataset.address, { source: "#timer", target: "#today", select: "#today", swap: "outerHTML" });
    }
  }

  function isTyped(within) {
    const changed = (field) => {
      if (field.type === "hidden") return false;
      if (field.type === "checkbox") return field.checked !== field.defaultChecked;
      if (field.tagName === "SELECT") return [...field.options].some((option) => option.selected !== option.defaultSelected && option.value);
      return field.value !== field.defaultValue;
    };
    return [...within.querySelectorAll("input, select, textarea")].some(changed);
  }

  // --- words ---------------------------------------------------------------------------------------------------------------

  function say(words, kind) {
    const place = document.getElementById("messages");
    if (!place || place.textContent.includes(words)) return;
    const box = document.createElement("div");
    const line = document.createElement("p");
    box.className = `message ${kind}`;
    line.textContent = words;
    box.append(line);
    place.append(box);
  }

  function sayFailure(words) {
    const place = document.getElementById("gate-message");
    if (!place) return;
    const line = document.createElement("p");
    line.textContent = words;
    place.replaceChildren(line);
  }

  addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    // The gate's own words are in place then.
    if (status === 503) return;
    const reasons = { 403: "You may not do this, or the page is too old.", 404: "This is gone, or it is not yours." };
    sayFailure(`${reasons[status] ?? "Something went wrong at the site."} Nothing of this was saved here; load the page again and look.`);
  });

  addEventListener("htmx:sendError", () => {
    sayFailure("The site cannot be reached. What you typed is still here; send it again when you are connected.");
  });

  // What was pressed last, if the keyboard was there.
  let asked = null;

  addEventListener("htmx:beforeRequest", (event) => {
    document.getElementById("gate-message")?.replaceChildren();
    asked = event.detail.elt.contains(document.activeElement) ? event.detail.elt : null;
  });

  addEventListener("htmx:afterSettle", () => {
    learnFromPage();
    draw();
    if (!asked) return;
    // Whoever has started something does not stay in the form, where the next Enter would start what came before. Elsewhere the
    // button that was pressed is gone: go on where it was.
    const isStarted = asked.id === "start" && !document.getElementById("start-errors");
    if (isStarted || !document.activeElement || document.activeElement === document.body) {
      (document.querySelector("[data-focus]") ?? document.getElementById("content"))?.focus({ preventScroll: true });
    }
    asked = null;
  });

  // --- what was typed before a login ---------------------------------------------------------------------------------------

  // A restore ends all sessions. A form that meets the login then is filled in again behind it, in this tab and for the same person.
  const KEPT = "timetracker.typed";
  const isKept = (field) => field.name && !["hidden", "password", "file", "submit"].includes(field.type);

  addEventListener("htmx:beforeOnLoad", (event) => {
    const form = event.detail.elt;
    const to = event.detail.xhr.getResponseHeader("HX-Redirect");
    if (!keys || !to?.startsWith(`${keys.dataset.login}?`) || form.tagName !== "FORM") return;
    const fields = [...form.elements].filter(isKept).map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]);
    try {
      if (fields.length) sessionStorage.setItem(KEPT, JSON.stringify({ user: keys?.dataset.user, action: form.getAttribute("action"), fields }));
    } catch {
      // The browser keeps nothing.
    }
  });

  function fillAgain() {
    let kept;
    try {
      kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
      sessionStorage.removeItem(KEPT);
    } catch {
      return;
    }
    const form = kept && keys?.dataset.user === kept.user && document.querySelector(`form[action="${CSS.escape(kept.action)}"]`);
    if (!form) return;
    for (const [name, value] of kept.fields) {
      const field = form.elements.namedItem(name);
      if (!field) continue;
      if (field.type === "checkbox") field.checked = value;
      else field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    say("You had been logged out, so this was not saved. It is filled in again: look, and send it once more.", "warning");
  }

  // --- one field that says what the button does ----------------------------------------------------------------------------

  addEventListener("input", (event) => {
    if (event.target.id !== "start-time") return;
    const button = event.target.form.querySelector("[data-add]");
    const words = button.querySelector("span");
    button.dataset.start ??= words.textContent;
    words.textContent = event.target.value.trim() ? button.dataset.add : button.dataset.start;
  });

  // --- keys ----------------------------------------------------------------------------------------------------------------

  // Whoever speaks to the computer, or has a cat, can switch them off; the browser remembers.
  const OFF = "timetracker.keys-off";
  const remembered = (value) => {
    try {
      if (value === undefined) return localStorage.getItem(OFF) === "yes";
      localStorage.setItem(OFF, value ? "yes" : "no");
    } catch {
      // The browser keeps nothing.
    }
    return false;
  };

  const isField = (element) => element.matches("input, select, textarea, [contenteditable]");
  let first = "";
  let firstAt = 0;

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") return leave(event.target);
    if (keys?.open || isField(event.target) || remembered()) return;
    const second = first && Date.now() - firstAt < 1500 ? first : "";
    first = "";
    if (event.key === "?") {
      event.preventDefault();
      keys?.showModal();
    } else if (event.key === "g" && !second) {
      [first, firstAt] = ["g", Date.now()];
    } else {
      const target = document.querySelector(`[data-key="${CSS.escape(second + event.key)}"]`);
      // A script of the page may know the key.
      if (!target && !document.dispatchEvent(new CustomEvent("staff:key", { detail: event.key, cancelable: true }))) event.preventDefault();
      if (!target) return;
      event.preventDefault();
      if (isField(target)) enter(target);
      else target.click();
    }
  }

  function enter(field) {
    const work = document.getElementById("start-work");
    if (field.id === "start-notes" && work && !work.value) return work.focus();
    field.focus();
    field.select?.();
  }

  function leave(target) {
    const menu = document.querySelector("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (isField(target)) {
      const cancel = target.closest("form")?.querySelector("[data-cancel]");
      if (cancel) cancel.click();
      else target.blur();
    }
  }

  addEventListener("keydown", pressed);
  addEventListener("click", (event) => {
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    const opener = event.target.closest("[data-opens]");
    if (opener) {
      opener.closest("details").open = false;
      document.getElementById(opener.dataset.opens).showModal();
    }
  });
  for (const opener of all("[data-opens]")) opener.hidden = false;
  for (const box of all("[data-keys-on]")) {
    box.checked = !remembered();
    box.addEventListener("change", () => remembered(!box.checked));
  }

  // --- begin ---------------------------------------------------------------------------------------------------------------

  learnFromPage();
  tick();
  fillAgain();
  setInterval(ask, ASK);
  document.addEventListener("visibilitychange", ask);
  // A page that the browser kept and shows again holds an old time.
  addEventListener("pageshow", (event) => event.persisted && ask());
})();
