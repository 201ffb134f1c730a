/** The probes in other runtimes, beside a sandbox: `UNSHARED_TEST_LONG=1 script/test isolation/peers` writes PEERS.md. */
import { lstatSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cgroupName, removeCgroups, removeScratch, scratchDirectory } from "../../bench/scratch.ts";
import { Undo } from "../../bench/undo.ts";
import { allPids, commandLine, pidsInCgroup } from "../fixtures/processes.ts";
import { peerRows } from "./peer-rows.ts";
import { openPeers, type Peer } from "./peers.ts";
import { Stage } from "./stage.ts";

const reportPath = join(import.meta.dirname, "PEERS.md");
const isLong = process.env["UNSHARED_TEST_LONG"] === "1";

const inPeers = () => {
  let stage: Stage;
  const undo = new Undo();
  beforeAll(async () => {
    stage = await Stage.open("peers", 3_200_000_000);
  });
  afterAll(async () => {
    await undo.run();
    await removeCgroups();
    await removeScratch();
    await stage?.[Symbol.asyncDispose]();
  });

  it("are run, the table is written, and nothing of the peers is left", { timeout: 600_000 }, async () => {
    const devices = hostDevices();
    const peers = await openPeers(stage.rootTree(), undo);
    const ours: Peer = {
      name: "unshared",
      how: "a sandbox of the default definition",
      inside: (command, terminal) => stage.output(terminal ? "terminal" : "exec", [...command]),
    };
    const columns = [ours, ...peers];
    const rows: string[][] = [];
    for (const row of peerRows) {
      const cells: string[] = [];
      for (const column of columns)
        if ("why" in column) cells.push("not run");
        else {
          const text = await column.inside(row.command, row.terminal);
          expect([column.name, row.number, text === ""]).toEqual([column.name, row.number, false]);
          const open = row.open(text);
          if (column === ours) expect([row.number, open.slice(row.most ?? 0)]).toEqual([row.number, []]);
          cells.push(cell(open));
        }
      rows.push([String(row.number), row.what, ...cells]);
    }
    expect(await undo.run()).toEqual([]);
    await removeCgroups();
    await removeScratch();
    expect(pidsInCgroup(cgroupName)).toEqual([]);
    expect(allPids().filter((pid) => commandLine(pid).some((word) => word.includes(scratchDirectory)))).toEqual([]);
    expect(hostDevices()).toEqual(devices);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(scratchDirectory);
    const lines = [
      "# The same probes in other runtimes",
      "",
      "Written by `UNSHARED_TEST_LONG=1 script/test isolation/peers`; do not edit. Each cell is what a probe of the battery found inside: nothing",
      "open, or how many and which. Who starts it has a descriptor open besides (32). What a peer leaves open by default can mostly be closed by its settings; what is open is not a hole by itself.",
      "",
      `Kernel ${release()}. ${columns.map((column) => ("why" in column ? `${column.name}: not run, ${column.why}` : `**${column.name}**: ${column.how}`)).join(". ")}.`,
      "",
      `| | what is open of | ${columns.map(({ name }) => name).join(" | ")} |`,
      `|---|---|${columns.map(() => "---|").join("")}`,
      ...rows.map((cells) => `| ${cells.join(" | ")} |`),
    ];
    writeFileSync(reportPath, `${lines.join("\n")}\n`);
  });
};
if (isLong) describe("probes in other runtimes", inPeers);

const hostDevices = (): string[] =>
  ["null", "zero", "full", "random", "urandom", "tty"].map((name) => {
    const { mode, uid, gid, rdev, ino } = lstatSync(join("/dev", name));
    return `${name} ${mode.toString(8)} ${uid}:${gid} ${rdev} ${ino}`;
  });

/** How many, and the first of them. */
const cell = (open: readonly string[]): string => {
  if (open.length === 0) return "nothing";
  const first = open.slice(0, 4).map((name) => name.replaceAll("|", "\\|"));
  return `${open.length}: ${first.join(", ")}${open.length > first.length ? ", …" : ""}`;
};

it("the table has a row for each question", () => {
  const report = readFileSync(reportPath, "utf8");
  for (const { number, what, most } of peerRows) expect(report).toContain(`| ${number} | ${what} | ${most ? "" : "nothing |"}`);
});

it("SECURITY.md states its figures", () => {
  const [peers = "", security = ""] = [reportPath, resolve(import.meta.dirname, "../../SECURITY.md")].map((path) =>
    readFileSync(path, "utf8"),
  );
  const stated = [...security.matchAll(/^\| (\d+) \| ([^|]+) ((?:\| \d+ ){5})\|/gm)];
  expect(stated.length).toBeGreaterThan(8);
  for (const [, number, what, figures] of stated) {
    const row = peers.split("\n").find((line) => line.startsWith(`| ${number} | ${what} |`)) ?? "";
    const counts = row
      .split(" | ")
      .slice(2)
      .map((text) => Number.parseInt(text.replace("nothing", "0"), 10));
    expect([number, figures?.match(/\d+/g)?.map(Number)]).toEqual([number, counts]);
  }
});
