type Row = readonly [what: string, file: string, name: string];
/** Number of the check, what of it, file, and a part of a test's title there. */
export type Elsewhere = readonly [number: number, ...row: Row];

const of = (number: number, ...rows: Row[]): Elsewhere[] => rows.map((row) => [number, ...row]);

/** Checks of the battery, or parts of them, that other test files make. */
export const elsewhere: readonly Elsewhere[] = [
  ...of(
    18,
    ["the profile strict", "test/isolation/profiles.test.ts", "strict: computation goes on, and no socket but of AF_UNIX is to be had"],
    ["what no change opens", "test/isolation/profiles.test.ts", "never opens what makes namespaces and mounts"],
  ),
  ...of(
    25,
    [
      "a layer that cannot be applied refuses the launch",
      "test/supervisor/launch-failures.test.ts",
      "the layer is named, and nothing is left",
    ],
    ["a host that lacks a layer refuses all launches", "test/system/preflight.test.ts", "says so, and refuses launches for that reason"],
  ),
  ...of(
    39,
    ["a full disk of a sandbox is its own", "test/system/disk.test.ts", "can write that much and no more; nobody else notices"],
    ["a full disk of the host loses nothing", "test/faults/disk.test.ts", "full: nothing acknowledged is lost, nothing is half done"],
  ),
  ...of(
    42,
    [
      "a flood of output is bounded",
      "test/supervisor/output.test.ts",
      "keeps the last bytes of a burst that is larger than all that is kept",
    ],
    ["so is the log", "test/supervisor/log.test.ts", "keeps the end of what was written, within %d bytes at any time"],
    ["a reader that never reads takes no memory", "test/supervisor/output.test.ts", "takes little memory, and holds nobody up"],
    ["nor do many", "test/system/output-memory.test.ts", "stalled readers of"],
  ),
  ...of(
    44,
    ["10,000 orphans", "test/system/storms.test.ts", "10,000 orphans are reaped by the init"],
    ["zombies", "test/system/storms.test.ts", "zombies that nobody reaps, without an init, end with the sandbox"],
    ["double forks, ignored signals", "test/supervisor/endings.test.ts", "double forks and ignored signals too"],
  ),
  ...of(46, ["trinity", "test/vm/trinity.test.ts", "as a user of a sandbox, does the kernel no harm and changes nothing of the host"]),
  ...of(51, ["archives that lead out", "test/system/archive.test.ts", "%s is refused, and nothing of it is left"]),
  ...of(52, [
    "a file exchanged with a link while it is read",
    "test/system/files.test.ts",
    "while it is read never gives a byte of the host",
  ]),
  ...of(
    54,
    ["archives that swell", "test/system/archive.test.ts", "by its compression is refused, gzip and zstd"],
    ["archives of many entries", "test/system/archive.test.ts", "in entries is refused"],
    ["archives that are large", "test/system/archive.test.ts", "in bytes is refused while it comes"],
  ),
  ...of(
    56,
    ["set-user-id is never set by an upload", "test/system/files.test.ts", "never has set-user-id, whatever is asked"],
    ["nor by an archive", "test/system/archive.test.ts", "set-user-id gets it stripped"],
    ["an upload has the mapped owner", "test/system/files.test.ts", "is seen inside and on the host, byte for byte, with mode and owner"],
  ),
  ...of(
    58,
    ["other names of the host", "test/http/access.test.ts", "cannot reach it by another name"],
    ["other origins", "test/http/access.test.ts", "cannot reach it from another origin"],
    ["targets in absolute form", "test/http/access.test.ts", "cannot reach it by a target in absolute form that names another"],
    ["terminals, posts without a body", "test/http/access.test.ts", "cannot open a terminal, nor post without a body, from another origin"],
    ["forms and preflights", "test/http/access.test.ts", "cannot post what a form can, and get no leave from a preflight"],
  ),
  ...of(
    59,
    ["every route asks for the token first", "test/http/access.test.ts", "is asked of $name before the body is read"],
    ["and has a scope", "test/http/tokens.test.ts", "is set for every route of the router, and for no other"],
    ["the file", "test/http/access.test.ts", "lies in a file of root alone"],
    ["digests", "test/http/tokens.test.ts", "is told once, and kept as a digest alone"],
    ["logs", "test/http/log.test.ts", "has one JSON line for each request, and no token in any"],
  ),
  ...of(
    60,
    ["heads that drip", "test/http/limits.test.ts", "has 10 s for the head, by %s"],
    ["bodies that drip", "test/http/limits.test.ts", "has 60 s for the whole request"],
    ["connections that idle", "test/http/limits.test.ts", "are not lost by 500 that idle"],
    ["pipelining", "test/http/limits.test.ts", "take requests one after the other, answered in order"],
  ),
  ...of(
    61,
    ["sizes, depth", "test/http/limits.test.ts", "of a body is limited: announced, or found out while it comes in pieces"],
    ["framing", "test/http/limits.test.ts", "is refused: %s"],
    ["what is no proper JSON", "test/http/bad-bodies.test.ts", "refuses what is no proper JSON, and makes nothing"],
    ["fields of every body", "test/http/bad-fields.test.ts", "$name: refused with its pointer, and nothing is made"],
    ["at random", "test/http/fuzz.test.ts", "requests at random by its contract, and leaks nothing"],
  ),
  ...of(
    62,
    ["texts reach no shell, no mount, no other program", "test/http/injection.test.ts", "hostile texts execute no other program"],
    ["ids of another owner", "test/http/owners.test.ts", "of others is not there: $name"],
  ),
  ...of(
    63,
    ["creates at once", "test/http/quotas.test.ts", "counts all of them, also when they are made at once"],
    ["streams and watches", "test/http/quotas.test.ts", "are bounded: events, statistics, logs, watches, terminals"],
    ["retries", "test/http/idempotency.test.ts", "makes one sandbox of ten requests at once, all of which get its report"],
  ),
  ...of(
    64,
    ["modes and owners", "test/http/doors.test.ts", "let in root and the group unshared, where there is one, and nobody else"],
    ["loose modes refused", "test/http/doors.test.ts", "with a state directory of mode %o"],
    ["foreign owners refused", "test/http/doors.test.ts", "with a state directory of another user"],
    ["the units' exposure", "test/system/hardening.test.ts", "is that of $unit"],
  ),
  ...of(65, ["the daemon killed at random under load", "test/faults/kills.test.ts", "kills under load"]),
  ...of(
    66,
    ["the daemon killed at every step", "test/faults/crash-points.test.ts", "at every step it can be killed, and the world heals"],
    ["the supervisor", "test/faults/supervisor-points.test.ts", "the supervisor: its sandbox ends with it, and all is cleaned up"],
    ["the launcher", "test/faults/supervisor-points.test.ts", "the launcher: another takes its place"],
  ),
  ...of(
    67,
    ["a supervisor that is killed", "test/system/losses.test.ts", "makes the sandbox fail, and takes its processes and its cgroup along"],
    ["one that hangs", "test/system/hangs.test.ts", "kills a supervisor that hangs, and cleans up after it"],
  ),
  ...of(
    68,
    ["no daemon running", "test/faults/pid-reuse.test.ts", "while no daemon runs: the next one takes nobody for the dead supervisor"],
    [
      "a daemon that stands still",
      "test/faults/pid-reuse.test.ts",
      "while the daemon stands still: an order that it gives then goes to nobody",
    ],
    ["another boot", "test/system/losses.test.ts", "since another boot: the host was rebooted, and nobody is signalled"],
  ),
  ...of(69, ["the power failing under load", "test/faults/power.test.ts", "failures of the power all that was acknowledged is there"]),
  ...of(
    70,
    ["calls that fail", "test/faults/errors.test.ts", "a launch in which %s answers %s"],
    ["a disk with errors", "test/faults/disk.test.ts", "read-only after an error: what there is can be read"],
    ["a state directory that is deleted", "test/faults/disk.test.ts", "deleted under the daemon: nothing is promised any more"],
  ),
  ...of(
    71,
    ["a clock that steps back", "test/unit/ids.test.ts", "a clock that steps back breaks neither order nor form"],
    ["ten years", "test/unit/ids.test.ts", "set ten years forward and back again breaks neither order nor form"],
    ["deadlines", "test/contract/clock.test.ts", "no deadline of a wait is by the host's clock"],
    ["daylight saving", "test/contract/clock.test.ts", "of the time zone: daylight saving changes nothing"],
    [
      "one that is set forward",
      "test/unit/alarm.test.ts",
      "looks again within the hour, so that a clock that is set forward costs no more",
    ],
  ),
  ...of(
    72,
    [
      "lives with mixed calls",
      "test/system/soak.test.ts",
      "lives with mixed calls leave no descriptor, thread, mount, cgroup, process, file or row, and no memory",
    ],
    ["bare cycles", "test/system/cycles.test.ts", "create-start-delete cycles leave descriptors, threads and memory where they were"],
  ),
  ...of(
    73,
    ["two daemons", "test/http/doors.test.ts", "while another daemon has the state directory"],
    ["what is no socket", "test/http/doors.test.ts", "over a file that is no socket, and leaves it as it is"],
    ["a database of a newer program", "test/unit/database.test.ts", "a database of a newer program is refused and left as it is"],
    ["a damaged one", "test/unit/database.test.ts", "a damaged database is refused"],
    ["cgroups that nobody owns", "test/supervisor/survival.test.ts", "leaves cgroups that CLEAN of the next one removes"],
  ),
  ...of(74, ["a run", "test/system/runs.test.ts", "leaves the host as it was, byte for byte"]),
];

/** What of the battery nothing checks, and why. A number may have a check all the same, of another part of it. */
export const missing: readonly [number: number, what: string, why: string][] = [
  [49, "policy of a network", "there is no network mode but none: only that nothing is reached is checked"],
  [50, "port forwards", "there are none"],
  [51, "zip", "the API takes tar alone"],
  [71, "a daemon whose clock is set", "clocks are handed to ids and alarms; no namespace has a real-time clock of its own"],
];
