// What every screen may read: the console's own facts, and whether the person paused the page.
import { createContext } from "preact";
import { useContext } from "preact/hooks";

export const ConsoleContext = createContext({ meta: null, isPaused: false, setPaused: () => {} });

export function useConsole() {
  return useContext(ConsoleContext);
}
