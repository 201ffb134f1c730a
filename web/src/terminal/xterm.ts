/** The screen of a terminal. It is a chunk of its own, loaded when the first terminal is opened. */
import { FitAddon } from "@xterm/addon-fit";
import { Terminal as Screen } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import type { Terminal } from "../../../client/browser.ts";
import { withSheets } from "./sheets.ts";

/** Dark in both themes, as programs expect it of a terminal. */
const theme = {
  background: "#0d1117",
  foreground: "#e6edf3",
  cursor: "#a5b4fc",
  selectionBackground: "#3b4370",
  black: "#484f58",
  brightBlack: "#8b949e",
  red: "#ff7b72",
  green: "#5fd38a",
  yellow: "#e3b341",
  blue: "#79c0ff",
  magenta: "#d2a8ff",
  cyan: "#76e3ea",
};

export interface Viewer extends Disposable {
  focus(): void;
  /** Shows that terminal until it ends, from its beginning. */
  show(terminal: Terminal): Promise<void>;
}

export const createViewer = (element: HTMLElement): Viewer => {
  const screen = new Screen({
    theme,
    fontFamily: getComputedStyle(element).getPropertyValue("--mono"),
    fontSize: 14,
    scrollback: 5_000,
    cursorBlink: true,
  });
  const fit = new FitAddon();
  screen.loadAddon(fit);
  withSheets(() => screen.open(element));
  fit.fit();
  let current: Terminal | null = null;
  const sizes = new ResizeObserver(() => fit.fit());
  sizes.observe(element);
  screen.onResize(({ rows, cols }) => current?.resize(rows, cols));
  screen.onData((text) => current?.write(text));
  screen.onBinary((text) => current?.write(Uint8Array.from(text, (character) => character.charCodeAt(0))));
  return {
    focus: () => screen.focus(),
    show: async (terminal) => {
      current = terminal;
      screen.reset();
      terminal.resize(screen.rows, screen.cols);
      // What the screen has not drawn yet is not read: a flood stays in the daemon.
      for await (const bytes of terminal) await new Promise<void>((drawn) => screen.write(bytes, drawn));
      if (current === terminal) current = null;
    },
    [Symbol.dispose]: () => {
      sizes.disconnect();
      screen.dispose();
    },
  };
};
