/* Entries: rows by the keyboard, and ticks that say how many they are. All of it can be done without this script. */

(() => {
  "use strict";

  const rows = () => [...document.querySelectorAll("[data-rows] .entry-row")];
  const boxes = () => [...document.querySelectorAll("[data-rows] input[name=entry]")];

  // --- keys ----------------------------------------------------------------------------------------------------------------

  // The id of the row that the keys mean; it outlives that the list is loaded again.
  let current = "";

  function go(step) {
    const all = rows();
    if (!all.length) return false;
    const at = all.findIndex((row) => row.id === current);
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)];
    current = next.id;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
    return true;
  }

  const within = () => document.activeElement?.closest?.(".entry-row");
  const currentRow = () => within() ?? document.getElementById(current);

  function press(selector) {
    const target = currentRow()?.querySelector(selector);
    target?.click();
    return Boolean(target);
  }

  const keys = {
    j: () => go(1),
    k: () => go(-1),
    ArrowDown: () => within() && go(1),
    ArrowUp: () => within() && go(-1),
    e: () => press("[data-does=e]"),
    d: () => press("[data-does=d]"),
    x: () => press(".pick input"),
  };

  document.addEventListener("staff:key", (event) => {
    if (keys[event.detail]?.()) event.preventDefault();
  });

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.(".entry-row");
    if (row) current = row.id;
  });

  // A form in a row that was left: back to the row.
  addEventListener("htmx:afterSettle", () => {
    draw();
    document.querySelector("[data-rows] .entry-form")?.scrollIntoView({ block: "nearest" });
    const isLost = !document.activeElement || document.activeElement === document.body || document.activeElement.id === "content";
    if (isLost && current && !document.querySelector("[data-focus]")) document.getElementById(current)?.focus({ preventScroll: true });
  });

  // --- ticks ---------------------------------------------------------------------------------------------------------------

  function draw() {
    const form = document.getElementById("selection");
    const said = form?.querySelector("[data-picked]");
    if (!said) return;
    const all = boxes();
    const ticked = all.filter((box) => box.checked).length;
    const everything = form.querySelector("[data-pick-all]").checked;
    const page = form.querySelector("[data-pick-page]");
    page.closest("label").hidden = false;
    page.checked = all.length > 0 && ticked === all.length;
    page.indeterminate = ticked > 0 && ticked < all.length;
    said.textContent = everything ? "All that are found" : ticked ? `${ticked} ticked` : "";
    for (const button of form.querySelectorAll("button")) button.disabled = !everything && !ticked;
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-page]")) {
      for (const box of boxes()) box.checked = event.target.checked;
    }
    if (event.target.closest("#selection, [data-rows]")) draw();
  });

  // A page that the browser kept has its ticks still.
  addEventListener("pageshow", draw);
  draw();
})();
