import { existsSync } from "node:fs";
import { cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { Launcher } from "./launcher-fixture.ts";
import type { Values } from "./raw-client.ts";
import { descriptors } from "./witness.ts";

// The hard limit of open files is lowered, so that a definition can ask for more than there is.
let launcher: Launcher;
beforeAll(async () => {
  launcher = await Launcher.start({ through: ["prlimit", "--nofile=4096"] });
  for (const name of ["linked", "file", "loop"]) {
    await cp(launcher.state("roots/bash/tree"), launcher.state(`roots/${name}/tree`), { recursive: true, verbatimSymlinks: true });
  }
  const proc = (root: string, name: string) => launcher.state(`roots/${root}/tree/${name}`);
  await rm(proc("linked", "proc"), { recursive: true });
  await symlink("/etc", proc("linked", "proc"));
  await rm(proc("file", "sys"), { recursive: true });
  await writeFile(proc("file", "sys"), "");
  await rm(proc("loop", "dev"), { recursive: true });
  await symlink("dev", proc("loop", "dev"));
  await mkdir(launcher.state("roots/empty/tree"), { recursive: true });
  await mkdir(launcher.state("roots/hollow"), { recursive: true });
  await writeFile(launcher.state("roots/bash/tree/etc/no-format"), "no program\n", { mode: 0o755 });
  await writeFile(launcher.state("roots/bash/tree/etc/not-executable"), "#!/bin/bash\n", { mode: 0o644 });
});
afterAll(() => launcher[Symbol.asyncDispose]());

interface Case {
  what: string;
  values: Values;
  layer: string;
  errno: number;
  guest: boolean;
}
const [ENOENT, EACCES, ENOEXEC, ENOTDIR, EINVAL, ELOOP, EPERM, EBUSY] = [2, 13, 8, 20, 22, 40, 1, 16];
const cases: Case[] = [
  { what: "cwd is missing", values: { cwd: "/nowhere" }, layer: "cwd", errno: ENOENT, guest: true },
  { what: "cwd is a file", values: { cwd: "/etc/passwd" }, layer: "cwd", errno: ENOTDIR, guest: true },
  { what: "cwd passes through a link", values: { cwd: "/proc/self/fd" }, layer: "cwd", errno: ELOOP, guest: true },
  { what: "cwd may not be entered", values: { cwd: "/root", uid: 1000, gid: 1000 }, layer: "cwd", errno: EACCES, guest: true },
  { what: "the command is missing", values: { arg: "/bin/nothing" }, layer: "command", errno: ENOENT, guest: true },
  { what: "the command is not on PATH", values: { arg: "nothing" }, layer: "command", errno: ENOENT, guest: true },
  { what: "the command is a directory", values: { arg: "/etc" }, layer: "command", errno: EACCES, guest: true },
  { what: "the command may not be executed", values: { arg: "/etc/not-executable" }, layer: "command", errno: EACCES, guest: true },
  { what: "the command has no known format", values: { arg: "/etc/no-format" }, layer: "command", errno: ENOEXEC, guest: true },
  { what: "the command is missing, without init", values: { arg: "/bin/nothing", init: 0 }, layer: "command", errno: ENOENT, guest: true },
  {
    what: "the command is missing, with a terminal",
    values: { arg: "/bin/nothing", tty: 1 },
    layer: "command",
    errno: ENOENT,
    guest: true,
  },
  { what: "the root is empty", values: { root: "empty" }, layer: "command", errno: ENOENT, guest: true },
  { what: "the root has no tree", values: { root: "hollow" }, layer: "root", errno: ENOENT, guest: false },
  { what: "the root is missing", values: { root: "missing" }, layer: "root", errno: ENOENT, guest: false },
  { what: "/proc of the root is a link", values: { root: "linked" }, layer: "proc", errno: ENOTDIR, guest: true },
  { what: "/sys of the root is a file", values: { root: "file" }, layer: "sys", errno: ENOTDIR, guest: true },
  { what: "/dev of the root is a link to itself", values: { root: "loop" }, layer: "dev", errno: ENOTDIR, guest: true },
  { what: "more open files than the host allows", values: { "open-files": 4097 }, layer: "rlimits", errno: EPERM, guest: false },
  { what: "a capability that no kernel has", values: { capabilities: `${2n ** 62n}` }, layer: "capabilities", errno: EINVAL, guest: true },
  { what: "less CPU than the kernel gives", values: { "cpu-quota-us": 1 }, layer: "limits", errno: EINVAL, guest: false },
  { what: "less memory than the shell has", values: { "memory-bytes": 4096 }, layer: "limits", errno: EBUSY, guest: false },
];

test.each(cases)("$what: the layer is named, and nothing is left (check 25)", ({ values, layer, errno, guest }) =>
  launcher.leavingNothing(async () => {
    const reply = await launcher.ask(values);
    expect([reply.name, reply.text("code")], JSON.stringify([...reply.fields])).toEqual(["ERROR", "launch-failed"]);
    expect([reply.text("layer"), reply.number("errno"), reply.text("guest")], reply.text("message")).toEqual([
      layer,
      errno,
      guest ? "1" : "0",
    ]);
  }),
);

test("files that a sandbox has from before are kept when a launch of it fails", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash("echo kept > /kept");
    await box.gone();
    expect((await box.client.ask("RELEASE")).name).toBe("DONE");
    const kept = launcher.state(`sandboxes/${box.id}/upper/kept`);
    expect((await launcher.ask({ id: box.id, arg: "/bin/nothing" })).text("layer")).toBe("command");
    expect(existsSync(kept)).toBe(true);
    const again = await launcher.bash("cat /kept", { id: box.id });
    expect(await again.output()).toBe("kept\n");
    await again.end({ kill: false });
  }));

test("a sandbox's directory that an interrupted launch left without upper and work is completed", () =>
  launcher.leavingNothing(async () => {
    await mkdir(launcher.state("sandboxes/halfway"), { mode: 0o700 });
    const box = await launcher.bash("echo works", { id: "halfway" });
    expect(await box.output()).toBe("works\n");
    await box.end({ kill: false });
  }));

test.each(["a link", "a file"])("%s in the place of the sandbox's directory is not followed, and stays", (kind) =>
  launcher.leavingNothing(async () => {
    const place = launcher.state("sandboxes/taken");
    await (kind === "a link" ? symlink("/tmp", place) : writeFile(place, ""));
    const reply = await launcher.ask({ id: "taken" });
    expect([reply.text("code"), reply.text("layer"), reply.number("errno")]).toEqual(["launch-failed", "root", ENOTDIR]);
    expect(existsSync(place)).toBe(true);
    await rm(place);
  }),
);

test("REMOVE tells what it removed, of what is there and what is not", () =>
  launcher.leavingNothing(async () => {
    const none = await launcher.client.ask("REMOVE", { id: "never" });
    expect([none.name, none.text("files"), none.text("bytes")]).toEqual(["REMOVED", "0", "0"]);
    await mkdir(launcher.state("sandboxes/some/upper/a/b"), { recursive: true });
    await writeFile(launcher.state("sandboxes/some/upper/a/file"), "x".repeat(10_000));
    const some = await launcher.client.ask("REMOVE", { id: "some" });
    expect(some.text("files")).toBe("5");
    expect(some.number("bytes")).toBeGreaterThanOrEqual(10_000);
  }));

test("CLEAN of a slot that nobody has answers at once", async () => {
  const cleaned = await launcher.client.ask("CLEAN", { id: "never", slot: 4095 });
  expect([cleaned.name, cleaned.text("complete"), cleaned.text("killed"), cleaned.text("cgroups")]).toEqual(["CLEANED", "1", "0", "0"]);
});

test("the launcher holds no descriptor more after many failures", async () => {
  await launcher.settled();
  const before = descriptors(launcher.pid).length;
  for (let i = 0; i < 20; i++) await launcher.ask({ arg: "/bin/nothing" });
  // Fewer where one of an earlier test was still to be reaped when they were counted.
  await eventually("no more than before", () => descriptors(launcher.pid).length <= before);
});
