/* The keyboard in the grid of the Week page: arrows move between cells, Esc restores one, and the button says how many were changed.
   Enter saves without this script, too: it presses the form's first button. */

(() => {
  "use strict";

  // Characters that a cell has room for on a phone.
  const LONG = 5;

  const grid = () => document.getElementById("grid");
  const cells = () => [...(grid()?.querySelectorAll("input[data-was]") ?? [])];
  const isCell = (element) => element?.matches?.("input[data-was]") ?? false;
  const isChanged = (cell) => cell.value.trim() !== cell.dataset.was;

  function count() {
    const button = document.getElementById("week-save");
    if (!button) return;
    let changed = 0;
    for (const cell of cells()) {
      const is = isChanged(cell);
      cell.classList.toggle("is-changed", is);
      changed += is;
      // Read by the style sheet, where cells are narrow; forty characters at most.
      if (cell.value.length > LONG) cell.parentElement.dataset.long = cell.value;
      else delete cell.parentElement.dataset.long;
    }
    const { words, one, several } = button.dataset;
    button.textContent = changed === 0 ? words : changed === 1 ? one : several.replace("#", changed);
  }

  /** The next open cell in the same column, above (-1) or below (1). */
  function beside(cell, step) {
    const column = cells().filter((other) => other.dataset.number === cell.dataset.number);
    return column[column.indexOf(cell) + step];
  }

  /** The next open cell in the same row. */
  function along(cell, step) {
    const row = [...cell.closest("tr").querySelectorAll("input[data-was]")];
    return row[row.indexOf(cell) + step];
  }

  /** Whether the cursor can go no further that way; a text that is selected as a whole is at both ends. */
  function isAtEnd(cell, step) {
    const { selectionStart, selectionEnd, value } = cell;
    if (selectionStart === 0 && selectionEnd === value.length) return true;
    return selectionStart === selectionEnd && selectionStart === (step < 0 ? 0 : value.length);
  }

  function go(cell, event) {
    if (!cell) return;
    event.preventDefault();
    cell.focus();
    cell.select();
  }

  addEventListener("keydown", (event) => {
    const cell = event.target;
    if (!isCell(cell) || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.isComposing) return;
    if (event.key === "ArrowUp") go(beside(cell, -1), event);
    else if (event.key === "ArrowDown") go(beside(cell, 1), event);
    else if (event.key === "ArrowLeft" && isAtEnd(cell, -1)) go(along(cell, -1), event);
    else if (event.key === "ArrowRight" && isAtEnd(cell, 1)) go(along(cell, 1), event);
    else if (event.key === "Escape" && isChanged(cell)) {
      // The frame would leave the field; that is what a second Esc does.
      event.stopImmediatePropagation();
      cell.value = cell.dataset.was;
      cell.select();
      count();
    }
  }, { capture: true });

  addEventListener("focusin", (event) => isCell(event.target) && event.target.select());
  addEventListener("input", (event) => isCell(event.target) && count());
  addEventListener("htmx:afterSettle", count);
  addEventListener("pageshow", count);

  // Whoever goes away with cells that are not saved is asked. Sending the form is no going away, and what a login comes upon is
  // filled in again behind it.
  let isSent = false;
  addEventListener("submit", (event) => { isSent ||= event.target === grid(); });
  addEventListener("htmx:beforeOnLoad", (event) => { isSent = Boolean(event.detail.xhr.getResponseHeader("HX-Redirect")); });
  addEventListener("htmx:afterRequest", (event) => { isSent = Boolean(event.detail.xhr?.getResponseHeader("HX-Redirect")); });
  addEventListener("beforeunload", (event) => {
    if (!isSent && cells().some(isChanged)) event.preventDefault();
  });

  count();
})();
