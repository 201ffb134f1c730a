import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Launcher, usual } from "./launcher-fixture.ts";
import type { RawClient, TypeName, Values } from "./raw-client.ts";
import type { Sandbox } from "./sandbox-fixture.ts";

let launcher: Launcher;
let box: Sandbox;
beforeAll(async () => {
  launcher = await Launcher.start();
  box = await launcher.launch();
});
afterAll(async () => {
  await box.end();
  await launcher[Symbol.asyncDispose]();
});

interface Message {
  type: TypeName;
  /** A value for every field. */
  values: Values;
  optional?: readonly string[];
  repeated?: readonly string[];
  refused: Record<string, readonly string[]>;
}
const notId = ["", "A", "a/b", "..", "a b", "x".repeat(65)];
const notNumber = ["", "-1", "+1", " 1", "1 ", "0x1", "1e3", "one", "18446744073709551616"];
const notFlag = [...notNumber, "2", "true"];
const process = ["", "x".repeat(65)];

const ofLauncher: Message[] = [
  { type: "HELLO", values: {}, refused: {} },
  {
    type: "LAUNCH",
    values: { id: "refused", ...usual },
    optional: ["env", "hostname", "isolate", "root"],
    repeated: ["isolate", "arg", "env"],
    refused: {
      id: notId,
      root: notId,
      isolate: ["", "mount", "MNT", "mnt,uts", "x".repeat(17)],
      arg: ["", "x".repeat(131_072)],
      env: ["", "A", "=", "=x", `A=${"x".repeat(131_070)}`],
      cwd: ["", "tmp", ".", `/${"x".repeat(4095)}`],
      uid: [...notNumber, "65536"],
      gid: [...notNumber, "65536"],
      hostname: ["", "x".repeat(65)],
      init: notFlag,
      tty: notFlag,
      capabilities: [...notNumber, "9223372036854775808"],
      seccomp: ["", "none", "unconfined", "DEFAULT"],
      "seccomp-allow": ["", "mount", "no_such_call", "socket", "x".repeat(33)],
      "seccomp-deny": ["", "execve", "wait4", "no_such_call", "x".repeat(33)],
      "memory-bytes": [...notNumber, "9223372036854775808"],
      "cpu-quota-us": [...notNumber, "1000000001"],
      "cpu-weight": [...notNumber, "10001"],
      pids: [...notNumber, "4194305"],
      "open-files": [...notNumber, "0", "1048577"],
      "output-bytes": [...notNumber, "0", "4095", "1073741825"],
    },
  },
  { type: "CLEAN", values: { id: "refused", slot: 1 }, refused: { id: notId, slot: [...notNumber, "4096"] } },
  { type: "REMOVE", values: { id: "refused" }, refused: { id: notId } },
  { type: "END", values: {}, refused: {} },
];
const ofSupervisor: Message[] = [
  { type: "ATTACH", values: {}, refused: {} },
  {
    type: "EXEC",
    values: {
      process: "refused",
      arg: "true",
      env: "A=1",
      cwd: "/",
      uid: 0,
      gid: 0,
      tty: 0,
      stdin: 0,
      "timeout-ms": 0,
      "output-bytes": 4096,
    },
    optional: ["env"],
    repeated: ["arg", "env"],
    refused: {
      process: notId,
      arg: ["", "x".repeat(131_072)],
      env: ["A", "=x"],
      cwd: ["", "tmp"],
      uid: [...notNumber, "65536"],
      gid: [...notNumber, "65536"],
      tty: notFlag,
      stdin: notFlag,
      "timeout-ms": notNumber,
      "output-bytes": [...notNumber, "4095", "1073741825"],
    },
  },
  { type: "FORGET", values: { process: "main" }, refused: { process } },
  {
    type: "SIGNAL",
    values: { process: "main", signal: 18, group: 0 },
    optional: ["group"],
    refused: { process, signal: [...notNumber, "0", "65"], group: notFlag },
  },
  { type: "STOP", values: { "grace-ms": 1000 }, refused: { "grace-ms": [...notNumber, "3600001"] } },
  {
    type: "OUTPUT",
    values: { process: "main", after: 0, "max-bytes": 65536, wait: 0 },
    optional: ["wait"],
    refused: { process, after: notNumber, "max-bytes": [...notNumber, "0", "65535", "786433"], wait: notFlag },
  },
  {
    type: "INPUT",
    values: { process: "main", close: 0 },
    optional: ["close"],
    refused: { process, close: notFlag },
  },
  {
    type: "RESIZE",
    values: { process: "main", rows: 1, columns: 1 },
    refused: { process, rows: [...notNumber, "0", "4097"], columns: [...notNumber, "0", "4097"] },
  },
  { type: "USAGE", values: {}, refused: {} },
  { type: "RELEASE", values: {}, refused: {} },
];

function check(client: () => RawClient, messages: Message[]): void {
  test.each(messages)("$type refuses what the document does not allow", async ({ type, values, optional = [], repeated = [], refused }) => {
    const refuse = async (changed: Values, what: string) => {
      const reply = await client().ask(type, { ...values, ...changed });
      expect([reply.name, reply.text("code")], `${type}: ${what}`).toEqual(["ERROR", "invalid"]);
      expect(reply.text("message").length).toBeGreaterThan(0);
    };
    await refuse({ color: "red" }, "an unknown field");
    for (const key of Object.keys(values)) {
      const value = values[key] as string;
      if (!optional.includes(key)) await refuse({ [key]: null }, `without ${key}`);
      if (!repeated.includes(key)) await refuse({ [key]: [value, value] }, `${key} twice`);
      for (const wrong of refused[key] ?? []) await refuse({ [key]: wrong }, `${key}=${wrong.slice(0, 40)}`);
    }
  });
}

describe("the launcher", () => {
  check(() => launcher.client, ofLauncher);

  const combinations: [string, Values][] = [
    ["a root without an isolated mnt", { isolate: ["user", "pid", "uts"] }],
    ["an isolated mnt without a root", { root: null }],
    ["a hostname without an isolated uts", { isolate: ["mnt", "user", "pid"] }],
    ["an init without an isolated pid", { isolate: ["mnt", "user", "uts"] }],
    ["capabilities without an isolated user", { isolate: ["mnt", "pid", "uts"], capabilities: 1 }],
    ["neither user nor mnt isolated", { isolate: ["pid", "uts"], root: null }],
    ["a disk without an isolated mnt", { isolate: ["user", "pid", "uts"], root: null, disk: 1 }],
    ["a disk that is neither 0 nor 1", { disk: 2 }],
    ["hold with a command", { hold: 1, init: 0 }],
    ["hold with an init", { hold: 1, arg: null }],
    ["hold that is neither 0 nor 1", { hold: 2, arg: null, init: 0 }],
    ["neither hold nor a command", { hold: 0, arg: null }],
    ["257 arguments", { arg: Array(257).fill("x") }],
    ["1,025 variables", { env: Array(1025).fill("A=1") }],
    [
      "arguments and variables of more than 512 KiB",
      { arg: Array(3).fill("x".repeat(131_000)), env: Array(2).fill(`A=${"x".repeat(131_000)}`) },
    ],
  ];
  test.each(combinations)("LAUNCH refuses %s", async (_, values) => {
    const reply = await launcher.client.ask("LAUNCH", { id: "refused", ...usual, ...values });
    expect([reply.name, reply.text("code")]).toEqual(["ERROR", "invalid"]);
  });

  test("nothing of all that was begun", async () => {
    expect(launcher.traces()).toMatchObject({ sockets: [`${box.id}.sock`], files: [box.id] });
    expect((await launcher.client.ask("HELLO")).text("supervisors")).toBe("1");
  });
});

describe("the supervisor", () => {
  check(() => box.client, ofSupervisor);

  test("a process that is not there is not found", async () => {
    for (const message of ofSupervisor.filter(({ type, values }) => "process" in values && type !== "EXEC")) {
      const reply = await box.client.ask(message.type, { ...message.values, process: "nobody" });
      expect([message.type, reply.text("code")]).toEqual([message.type, "not-found"]);
    }
  });

  test("nothing of all that was begun: the sandbox runs, alone, and may not be released", async () => {
    expect((await box.client.ask("RELEASE")).text("code")).toBe("running");
    const report = await box.client.ask("ATTACH");
    expect([report.text("state"), report.all("process").length]).toEqual(["running", 1]);
  });
});
