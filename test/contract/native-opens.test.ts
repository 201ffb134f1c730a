/**
 * The native program follows no link that somebody else could have put there: each call that opens a path is O_NOFOLLOW, or an openat2(2) that
 * resolves none, or is reviewed below. A path of several names is as safe as the directories on its way, so those are reviewed, too.
 */
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";

const directory = resolve(import.meta.dirname, "../../supervisor");

/** Calls that follow a link at the end of the path, each with the reason. */
const followed: Readonly<Record<string, string>> = {
  "instance.c: open(path, O_RDONLY | O_CLOEXEC)":
    "/proc/PID/ns/user is a link of the kernel's, and following it is how a namespace is opened",
  'sealed-copy.c: open("/proc/self/exe", O_RDONLY | O_CLOEXEC)': "a link of the kernel's to the program itself",
  "remove.c: openat(directory, name, O_PATH | O_DIRECTORY | O_CLOEXEC)": "only in the build for tests: the mutant removal-follows",
  'mutants.h: fopen(list, "re")': "only in the build for tests",
  "mutants.h: open(name, O_RDONLY | O_CLOEXEC)": "only in the build for tests",
  "cgroup-sweep.c: opendir(host->v2)": "a directory of cgroup2, in which there are no links",
};

/** Paths of more than one name that are no literals: who may write to the directories on the way. */
const whole: Readonly<Record<string, readonly [calls: number, why: string]>> = {
  "main.c: open(path, …)": [1, "sandboxes below STATE_DIR and RUN_DIR: root's own directories"],
  "launcher-requests.c: open(path, …)": [1, "STATE_DIR/sandboxes, as above"],
  "instance-files.c: syscall(SYS_open_tree, …)": [
    1,
    "STATE_DIR/roots/ID/tree and STATE_DIR/sandboxes/ID, which only root can enter; ids are of letters and digits",
  ],
  "proc.c: open(path, …)": [3, "/proc/PID"],
  "oom.c: open(path, …)": [2, "/proc/PID, and a directory of cgroup version 1"],
  "supervisor.c: open(path, …)": [1, "/proc/PID/mountinfo"],
  "disk.c: open(path, …)": [1, "/dev/loopN"],
  "cgroup.c: open(v2, …)": [1, "a cgroup, among which there are no links"],
  "cgroup.c: open(path, …)": [4, "a cgroup, as above"],
  "cgroup-files.c: open(directory, …)": [1, "a cgroup, as above"],
  "cgroup-limits.c: open(path, …)": [1, "a file of a cgroup, as above"],
};

interface Call {
  file: string;
  text: string;
  name: string;
  path: string;
  /** Where it is an openat2: the file up to the call, where the flags were put together. */
  before: string;
}

const withoutComments = (source: string): string => source.replaceAll(/\/\*[\s\S]*?\*\//g, "");
/** The text from the opening parenthesis to the one that closes it. */
const balanced = (source: string, from: number): string => {
  let depth = 0;
  for (let at = source.indexOf("(", from); at < source.length; at++) {
    if (source[at] === "(") depth++;
    if (source[at] === ")" && --depth === 0) return source.slice(from, at + 1);
  }
  throw new Error(`no end: ${source.slice(from, from + 80)}`);
};
const callsOf = (file: string, text: string): Call[] => {
  const source = withoutComments(text);
  const opening =
    /\b(?:open|open64|openat|openat64|creat|fopen|freopen|opendir|open_by_handle_at|scandir|nftw|fts_open|syscall\(SYS_open\w*)\b(?=\(|,)/g;
  return [...source.matchAll(opening)].map(({ 0: name, index }) => {
    const call = balanced(source, index).replaceAll(/\s+/g, " ");
    const parts = call.slice(call.indexOf("(") + 1).split(/, ?/);
    const path = /^syscall|^openat/.test(name) ? (parts[name.startsWith("syscall") ? 2 : 1] ?? "") : (parts[0] ?? "");
    return { file, text: call, name, path: path.replace(/\)$/, ""), before: source.slice(0, index) };
  });
};
const files = readdirSync(directory).filter((name) => /\.[ch]$/.test(name));
const calls = files.flatMap((file) => callsOf(file, readFileSync(`${directory}/${file}`, "utf8")));

/** The last `struct open_how` that is filled in before the call: without a mutant, that is the one it takes. */
const howOf = ({ before }: Call): string => [...before.matchAll(/struct open_how how = \{[^}]*\}/g)].at(-1)?.[0] ?? "";
const resolvesNone = (call: Call): boolean =>
  /\.resolve = [^}]*RESOLVE_NO_(SYMLINKS|MAGICLINKS)/.test(howOf(call).replace(/mutant\("[a-z-]+"\) \? 0 : /, ""));
const follows = (call: Call): boolean =>
  call.name.startsWith("syscall(SYS_openat2") ? !resolvesNone(call) : !/\b(O_NOFOLLOW|AT_SYMLINK_NOFOLLOW)\b/.test(call.text);
/** Whether the path may have more than one name: one that is relative to a descriptor is by itself, as the agents resolve paths by openat2 only. */
const isWhole = ({ name, path }: Call): boolean =>
  !path.startsWith('"') && !name.startsWith("openat") && !name.startsWith("syscall(SYS_openat2");

const reviewedFollow = ({ file, text }: Call): string => `${file}: ${text}`;
const reviewedWhole = ({ file, name, path }: Call): string =>
  `${file}: ${name.startsWith("syscall") ? `${name}, …)` : `${name}(${path}, …)`}`;

describe("each call of the native program that opens a path", () => {
  it("is found", () => {
    expect(calls.length).toBeGreaterThan(50);
    expect(calls.filter(({ name }) => name.startsWith("syscall(SYS_openat2")).length).toBeGreaterThanOrEqual(5);
  });

  it("follows no link, or is reviewed", () => {
    expect([...new Set(calls.filter(follows).map(reviewedFollow))].sort()).toEqual(Object.keys(followed).sort());
  });

  it("takes one name, a literal, or a path that is reviewed", () => {
    const counts: Record<string, number> = {};
    for (const call of calls.filter((each) => isWhole(each) && !(reviewedFollow(each) in followed)))
      counts[reviewedWhole(call)] = (counts[reviewedWhole(call)] ?? 0) + 1;
    expect(counts).toEqual(Object.fromEntries(Object.entries(whole).map(([call, [number]]) => [call, number])));
  });

  it.each([
    "open(path, O_RDONLY | O_CLOEXEC)",
    "openat(fd, name, O_RDONLY\n  | O_CLOEXEC)",
    'fopen("/etc/passwd", "r")',
    "(int)syscall(SYS_openat2, fd, name, &how, sizeof how)",
    "(int)syscall(SYS_open_tree, fd, name, OPEN_TREE_CLONE)",
    "opendir(path)",
  ])("would be found here: %s", (text) => {
    expect(callsOf("new.c", `int f(void) {\n  /* open(nothing) */\n  return ${text};\n}`).filter(follows)).toHaveLength(1);
  });
});
