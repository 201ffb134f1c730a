/** The whole isolation battery, and its mutants, on a stock Debian 12: kernel 6.1, pure cgroup v2. An hour beside other work. */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { battery } from "../isolation/battery.ts";
import { expectedSkips, type Found, layOut, runFile } from "./battery.ts";
import { checkout } from "./cargo.ts";
import { Guest } from "./guest.ts";
import { debianReport } from "./report.ts";

const files = [
  ...["filesystem", "namespaces", "privileges", "kernel-views", "descriptors", "load", "resources", "network", "files"],
  ...["profiles", "supervisor", "matrix"],
];
const report = resolve(import.meta.dirname, "../isolation/DEBIAN.md");

let guest: Guest;
const found = new Map<string, Found[]>();
beforeAll(async () => {
  guest = await Guest.start(checkout, 3_072);
  await layOut(guest);
}, 900_000);
afterAll(async () => {
  await guest?.[Symbol.asyncDispose]();
});

test.for(files)("%s: all is isolated, and nothing is skipped but what the list names", { timeout: 3_600_000 }, async (file) => {
  const tests = await runFile(guest, file);
  found.set(file, tests);
  console.error(file, tests.map(({ title, outcome }) => `${title.slice(0, 40)}: ${outcome}`).join("\n  "));
  expect(tests.length).toBeGreaterThan(0);
  expect(tests.filter(({ outcome }) => outcome === "failed").map(({ name, note }) => `${name}\n${note}`)).toEqual([]);
  const skipped = tests.filter(({ outcome }) => outcome === "skipped").map(({ name }) => name);
  expect(skipped).toEqual(expectedSkips().filter((name) => name.startsWith(`test/isolation/${file}.test.ts > `)));
});

test("the report is written", async () => {
  const [kernel = "", type = "", system = ""] = (
    await guest.run('uname -r; findmnt -rno FSTYPE /sys/fs/cgroup; . /etc/os-release; echo "$PRETTY_NAME"')
  ).split("\n");
  expect(type).toBe("cgroup2");
  writeFileSync(report, debianReport({ system, kernel, cgroups: "v2" }, battery, found));
  expect([...found.keys()]).toEqual(files);
});
