/** How unsharectl ends; `man unsharectl` lists them. What `run`, `exec` and `attach` pass on is the command's own code. */
export const exitCodes = {
  ok: 0,
  /** The daemon refused, or something failed. */
  failed: 1,
  /** The command line is not understood. */
  usage: 2,
  /** No daemon could be reached. */
  unreachable: 3,
  /** `run`, `exec`, `attach`: it is unsharectl or the daemon that failed, not the command. */
  notRun: 125,
  notExecutable: 126,
  notFound: 127,
  /** Added to the number of the signal that killed the command. */
  signaled: 128,
} as const;

const signals: Readonly<Record<string, number>> = {
  ...{ HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10, SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14 },
  ...{ TERM: 15, STKFLT: 16, CHLD: 17, CONT: 18, STOP: 19, TSTP: 20, TTIN: 21, TTOU: 22, XCPU: 24, XFSZ: 25, SYS: 31 },
};

/** As a shell tells it: the code, or 128 and the signal's number. */
export const codeOf = (exit: { code: number | null; signal: string | null }): number =>
  exit.code ?? exitCodes.signaled + (signals[(exit.signal ?? "").replace(/^SIG/, "")] ?? 0);
