// The dialog of keys.
import { h } from "preact";
import { useEffect, useRef } from "preact/hooks";

const KEYS = [
  ["/", "search on this screen"],
  ["j k", "next and previous row"],
  ["Enter", "open the row"],
  ["p", "pause and go on"],
  ["Esc", "leave a field, close this"],
  ["?", "these keys"],
];

export function Help({ isOpen, close }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (isOpen && !dialog.current.open) dialog.current.showModal();
    if (!isOpen && dialog.current.open) dialog.current.close();
  }, [isOpen]);
  return h(
    "dialog",
    { ref: dialog, onClose: close, "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Keys"),
    h(
      "dl",
      { class: "keys" },
      KEYS.flatMap(([keys, words]) => [
        h("dt", { key: `t${keys}` }, keys.split(" ").map((key) => h("kbd", { key }, key))),
        h("dd", { key: `d${keys}` }, words),
      ]),
    ),
    h("p", { class: "quiet" }, "A trace id pasted anywhere opens its trace. The address of each view is its permanent link."),
    h("p", { class: "section" }, h("button", { class: "button", type: "button", onClick: close }, "Close")),
  );
}
