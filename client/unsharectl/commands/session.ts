import { ProblemError, type Process, type Terminal, type TerminalEnd } from "../../index.ts";
import { codeOf, exitCodes } from "../exit-codes.ts";
import { Ending } from "../failures.ts";

/** Ctrl-], which telnet and virsh take too: leaves, and the process goes on. */
const leaveByte = 0x1d;
/** A minute, and what the attempts themselves take. */
const reconnectAttempts = 120;
const reconnectMilliseconds = 500;

/** Switches off what a full-screen program may have left on: cursor, colours, mouse, paste brackets, and the other screen if it is on. */
const restoring = "\u001b[?25h\u001b[0m\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1006l\u001b[?2004l";
const leaveScreen = "\u001b[?1049l";

/** This terminal, made raw for as long as a session lasts, and given back whatever ends it. */
class OwnTerminal {
  #isOtherScreen = false;
  #tail = "";
  #isRaw = false;
  readonly #restore = () => this.restore();
  readonly #end = (signal: NodeJS.Signals) => {
    this.restore();
    process.exit(codeOf({ code: null, signal }));
  };

  take(): void {
    this.#isRaw = true;
    process.stdin.setRawMode(true);
    process.once("exit", this.#restore);
    for (const signal of ["SIGHUP", "SIGTERM", "SIGINT", "SIGQUIT"] as const) process.once(signal, this.#end);
  }

  show(bytes: Uint8Array): Promise<void> {
    // A switch may be cut in two between pieces.
    const text = this.#tail + Buffer.from(bytes).toString("latin1");
    for (const [, action] of text.matchAll(/\p{Cc}\[\?(?:1049|1047|47)([hl])/gu)) this.#isOtherScreen = action === "h";
    this.#tail = text.slice(-8);
    return new Promise((resolve) => (process.stdout.write(bytes) ? resolve() : process.stdout.once("drain", resolve)));
  }

  restore(): void {
    if (!this.#isRaw) return;
    this.#isRaw = false;
    process.off("exit", this.#restore);
    for (const signal of ["SIGHUP", "SIGTERM", "SIGINT", "SIGQUIT"] as const) process.off(signal, this.#end);
    try {
      process.stdin.setRawMode(false);
      process.stdout.write(`${this.#isOtherScreen ? leaveScreen : ""}${restoring}`);
    } catch {
      // The terminal itself is gone.
    }
  }
}

export const isTerminal = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true;
export const ownSize = (): { rows: number; columns: number } => ({
  rows: process.stdout.rows ?? 24,
  columns: process.stdout.columns ?? 80,
});

/** Joins this terminal with that of the process until one of them ends; gives the exit code. */
export const joinTerminals = async (remote: Process): Promise<number> => {
  const own = new OwnTerminal();
  let terminal = await remote.terminal();
  let hasLeft = false;
  const resize = () => {
    const { rows, columns } = ownSize();
    terminal.resize(rows, columns);
  };
  const type = (bytes: Buffer) => {
    const at = bytes.indexOf(leaveByte);
    terminal.write(new Uint8Array(at === -1 ? bytes : bytes.subarray(0, at)));
    if (at === -1) return;
    hasLeft = true;
    terminal.close();
  };
  own.take();
  try {
    process.stdin.on("data", type);
    process.stdout.on("resize", resize);
    resize();
    for (;;) {
      const end = await shown(terminal, own);
      if (end.exit !== null) return codeOf(end.exit);
      if (hasLeft) {
        own.restore();
        process.stderr.write("\r\nleft; the process goes on\r\n");
        return exitCodes.ok;
      }
      const next = await again(remote);
      if (typeof next === "number") return next;
      terminal = next;
      resize();
    }
  } finally {
    process.stdin.off("data", type);
    process.stdout.off("resize", resize);
    process.stdin.pause();
    own.restore();
  }
};

const shown = async (terminal: Terminal, own: OwnTerminal): Promise<TerminalEnd> => {
  for await (const bytes of terminal) await own.show(bytes);
  return terminal.ended;
};

/** The terminal once more, behind what was written until now; the exit code where the process has ended meanwhile. */
const again = async (remote: Process): Promise<Terminal | number> => {
  process.stderr.write("\r\n[the connection was lost; trying again]\r\n");
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { exit } = await remote.refresh();
      if (exit !== null) return codeOf(exit);
      let last = 0;
      for await (const { seq } of remote.output({ after: "held", follow: false, gaps: "skip" })) last = seq;
      const terminal = await remote.terminal({ after: last });
      process.stderr.write("[connected again; what was written meanwhile is not shown]\r\n");
      return terminal;
    } catch (error) {
      if (error instanceof ProblemError && error.status < 500) throw error;
      if (attempt === reconnectAttempts) throw new Ending(exitCodes.notRun, "the connection was lost; the process may go on");
      await new Promise((resolve) => setTimeout(resolve, reconnectMilliseconds));
    }
  }
};
