/** Trinity (Debian's package, a fuzzer of system calls) in a sandbox of a guest, and what the guest's kernel counts of its calls. */
import type { Guest } from "./guest.ts";

/** How often each number was called, whichever table of calls it is of. */
export type Counts = ReadonlyMap<number, number>;

/** What trinity said of itself. */
export interface Said {
  /** Times that it was started, and of those the ones that came to its summary: it smashes its own stack at times. */
  runs: number;
  finished: number;
  calls: number;
  successes: number;
}

/** Its own processes that call are named so. */
const callers = "trinity-c*";

/** What they call for themselves around each call that they try: read, lseek, mprotect, rt_sigaction, alarm, getpid, getuid, getppid, clock_gettime. */
const housekeeping = new Set([0, 8, 10, 13, 37, 39, 102, 110, 228]);

/**
 * Nothing connects, and nothing is sent. Two kinds of descriptors it cannot make: events of perf, since it waits for ever where that is answered
 * EPERM (fds/perf.c), and sockets, over a table of which it stumbles.
 */
const options = [
  ...["-q", "-C", "4", "-N", "10000", "-l", "off", "--disable-fds", "perf,sockets"],
  ...["connect", "sendto", "sendmsg", "sendmmsg", "socketcall"].flatMap((name) => ["-x", name]),
];

/** Runs it again and again in a sandbox, as uid 1000 there, for so long. */
export const fuzz = async (guest: Guest, sandbox: string, milliseconds: number): Promise<Said> => {
  const said = { runs: 0, finished: 0, calls: 0, successes: 0 };
  for (const end = performance.now() + milliseconds; performance.now() < end; said.runs++) {
    const { output } = await guest.get("POST", `/sandboxes/${sandbox}/processes?wait=300`, {
      command: ["/mnt/trinity", ...options],
      user: { uid: 1000, gid: 1000 },
      cwd: "/tmp",
      timeoutSeconds: 240,
    });
    const [, calls, successes] = /Ran (\d+) syscalls\. Successes: (\d+)/.exec(output.stdout.data) ?? [];
    if (calls === undefined) continue;
    said.finished++;
    said.calls += Number(calls);
    said.successes += Number(successes);
  }
  return said;
};

/** Has the kernel count the callers' calls: `sys_enter` those that came past the filter of system calls, `sys_exit` all (Documentation/trace/histogram.rst). */
export const startCounting = (guest: Guest): Promise<string> =>
  guest.run(`mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
    for e in sys_enter sys_exit; do echo 'hist:keys=id:size=4096 if comm ~ "${callers}"' >/sys/kernel/tracing/events/raw_syscalls/$e/trigger; done`);

/** What it has counted by now. @throws Error where it has lost some */
export const counted = async (guest: Guest, event: "sys_enter" | "sys_exit"): Promise<Counts> => {
  const text = await guest.run(`cat /sys/kernel/tracing/events/raw_syscalls/${event}/hist`);
  if (!/^\s*Dropped: 0$/m.test(text)) throw new Error(`${event}: some were not counted:\n${text.slice(-200)}`);
  return new Map([...text.matchAll(/id:\s*(\d+) \} hitcount:\s*(\d+)/g)].map(([, id, count]) => [Number(id), Number(count)]));
};

/** Those that trinity tries: all but what it calls for itself. */
export const tried = (counts: Counts): number =>
  [...counts].filter(([id]) => !housekeeping.has(id)).reduce((sum, [, count]) => sum + count, 0);
