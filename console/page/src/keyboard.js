// Keys that work on every screen: search, selection, pause, help. Typing in a field is never a shortcut.
import { useEffect } from "preact/hooks";

const FIELDS = "input, select, textarea, [contenteditable]";

/** Calls `actions[key]` for a key without modifiers. Escape also works in fields: it leaves them. */
export function useKeys(actions) {
  useEffect(() => {
    const onKey = (event) => {
      if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
      if (event.target.closest?.(FIELDS)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      const action = actions[event.key];
      if (action && action(event) !== false) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });
}

export function focusSearch() {
  const field = document.querySelector("[data-search]") ?? document.querySelector("#jump");
  if (field) {
    field.focus();
    field.select?.();
  }
}

/** Moves the selection among the rows of the screen: the focus is the selection, so screen readers follow it. */
export function moveSelection(step) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (rows.length === 0) return false;
  const at = rows.indexOf(document.activeElement?.closest?.("[data-row]"));
  const next = rows[at === -1 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
  return true;
}
