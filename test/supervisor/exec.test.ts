import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { Launcher } from "./launcher-fixture.ts";
import { RawClient } from "./raw-client.ts";
import { Sandbox } from "./sandbox-fixture.ts";
import {
  alive,
  cgroupProcesses,
  descriptors,
  file,
  namespaceInode,
  namespaceTypes,
  parentOf,
  processState,
  sessionOf,
  startTicks,
  statusOf,
  terminalOf,
} from "./witness.ts";

let launcher: Launcher;
beforeAll(async () => {
  launcher = await Launcher.start();
});
afterAll(() => launcher[Symbol.asyncDispose]());

test("a command of EXEC is like the main one in all that isolates it", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ arg: ["/usr/bin/sleep", "1000"], "open-files": 333, capabilities: 2 });
    const { name, pid, reply } = await box.exec("", { arg: ["/usr/bin/sleep", "1000"] });
    expect(reply.name).toBe("STARTED");
    for (const type of namespaceTypes) expect(namespaceInode(pid, type), type).toBe(namespaceInode(box.pid, type));
    const kept = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Uid", "Gid", "Groups"];
    for (const key of [...kept, "SigIgn", "SigBlk", "Cpus_allowed", "CoreDumping"])
      expect(statusOf(pid)[key], key).toBe(statusOf(box.pid)[key]);
    for (const entry of ["cgroup", "limits", "mountinfo", "uid_map", "gid_map", "setgroups", "oom_score_adj", "loginuid"])
      expect(file(pid, entry), entry).toBe(file(box.pid, entry));
    for (const tree of cgroupProcesses(box.cgroup)) expect(tree).toContain(pid);
    await eventually("no descriptor more, once its libraries are loaded", () => `${descriptors(pid)}` === "0,1,2");
    expect(sessionOf(pid)).toBe(pid);
    expect(terminalOf(pid)).toBe(0);
    expect(file(pid, "environ")).toBe("PATH=/usr/bin:/bin\0");
    expect(reply.number("start-ticks")).toBe(startTicks(pid));
    expect(statusOf(pid)["NSpid"]).toBe(`${pid}\t${reply.number("pid-inside")}`);
    expect(parentOf(pid)).toBe(box.supervisor);
    const lines = (await box.client.ask("ATTACH")).all("process");
    expect(lines[1]).toBe(`${name} ${pid} ${reply.text("pid-inside")} ${startTicks(pid)} ${reply.text("started-at")} 0 running`);
    await box.end();
  }));

test.each([
  ["net", {}],
  ["user", { capabilities: 0 }],
  ["uts", { hostname: null }],
])("EXEC enters a sandbox that shares the host's %s namespace", (type, values) =>
  launcher.leavingNothing(async () => {
    const all = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup"];
    const box = await launcher.launch({ ...values, isolate: all.filter((one) => one !== type) });
    const { pid } = await box.exec("read", { stdin: 1 });
    for (const name of namespaceTypes) expect(namespaceInode(pid, name), name).toBe(namespaceInode(box.pid, name));
    expect(statusOf(pid)).toMatchObject({ CapEff: "0000000000000000", CapBnd: "0000000000000000", NoNewPrivs: "1", Seccomp: "2" });
    await box.end();
  }),
);

describe("in one sandbox", () => {
  let box: Sandbox;
  beforeAll(async () => {
    box = await launcher.launch({ pids: 2000 });
  });
  afterAll(() => box.end());
  let before: number[];
  beforeEach(() => {
    before = cgroupProcesses(box.cgroup)[0] ?? [];
    return () => eventually("its processes are gone", () => `${cgroupProcesses(box.cgroup)[0]}` === `${before}`);
  });

  test("ids, directory and environment are its own", async () => {
    const said = await box.says("id -u; id -g; echo $PWD $A", { uid: 12, gid: 34, cwd: "/usr", env: ["PATH=/usr/bin", "A=b c"] });
    expect(said).toBe("12\n34\n/usr b c\n");
  });

  test("its end is told, once, with its usage", async () => {
    const { name } = await box.exec("exit 6");
    const ended = await box.client.event("PROCESS_EXITED", name);
    expect([ended.text("reason"), ended.text("code"), ended.all("signal")]).toEqual(["exited", "6", []]);
    expect(ended.number("max-rss-bytes")).toBeGreaterThan(500_000);
    const line = (await box.client.ask("ATTACH")).all("process").find((one) => one.startsWith(`${name} `));
    expect(line).toMatch(new RegExp(` ended exited 6 - ${ended.text("exited-at")} \\d+ \\d+ \\d+$`));
    expect(box.client.events.filter((event) => event.text("process") === name)).toHaveLength(1);
  });

  test("signals reach it, and its end by one is told", async () => {
    const { name, pid } = await box.exec("exec sleep 1000");
    expect((await box.client.ask("SIGNAL", { process: name, signal: 15 })).name).toBe("DONE");
    const ended = await box.client.event("PROCESS_EXITED", name);
    expect([ended.text("reason"), ended.text("signal")]).toEqual(["signaled", "15"]);
    expect((await box.client.ask("SIGNAL", { process: name, signal: 15 })).text("code")).toBe("ended");
    expect(alive(pid)).toBe(false);
  });

  test("stdin is /dev/null unless it is asked for", async () => {
    expect(await box.says("readlink /proc/self/fd/0; cat; echo end")).toBe("/dev/null\nend\n");
    const { name } = await box.exec("cat", { stdin: 1 });
    await box.input("through\n", { process: name, close: 1 });
    expect(await box.output(name)).toBe("through\n");
    const { name: none } = await box.exec("sleep 0.01");
    expect((await box.input("x", { process: none })).text("code")).toBe("closed");
  });

  test("a terminal of its own is the controlling one", async () => {
    const { name, pid } = await box.exec("read line; stty size; echo $line; sleep 0.01", { tty: 1 });
    expect(terminalOf(pid)).toBeGreaterThan(0);
    expect(sessionOf(pid)).toBe(pid);
    await eventually("no descriptor more, once its libraries are loaded", () => `${descriptors(pid)}` === "0,1,2");
    await box.client.ask("RESIZE", { process: name, rows: 5, columns: 6 });
    await box.input("word\n", { process: name });
    expect(await box.output(name)).toContain("5 6\r\nword\r\n");
  });

  test("out of time it is killed, with its group, and that is told", async () => {
    const started = performance.now();
    const { name, pid } = await box.exec("sleep 1000 & sleep 1000", { "timeout-ms": 150 });
    const ended = await box.client.event("PROCESS_EXITED", name);
    expect(performance.now() - started).toBeGreaterThan(145);
    expect([ended.text("reason"), ended.text("signal")]).toEqual(["timed-out", "9"]);
    expect(alive(pid)).toBe(false);
  });

  test("a name is used once, also after its end, until it is forgotten", async () => {
    const { name } = await box.exec("exit 0");
    await box.client.event("PROCESS_EXITED", name);
    expect((await box.exec("exit 0", { process: name })).reply.text("code")).toBe("exists");
    expect((await box.exec("exit 0", { process: "main" })).reply.text("code")).toBe("exists");
    expect((await box.client.ask("FORGET", { process: name })).name).toBe("DONE");
    expect((await box.client.ask("FORGET", { process: name })).text("code")).toBe("not-found");
    expect((await box.client.ask("OUTPUT", { process: name, after: 0, "max-bytes": 65536 })).text("code")).toBe("not-found");
    expect((await box.exec("exit 0", { process: name })).reply.name).toBe("STARTED");
    await eventually("ended again", () => box.client.events.filter((event) => event.text("process") === name).length === 2);
  });

  test("what all that ended wrote is held up to 64 MiB: the output that is older goes, and how it ended stays", async () => {
    const names: string[] = [];
    for (let index = 0; index < 3; index += 1) {
      const { name } = await box.exec("head -c 30000000 /dev/zero", { "output-bytes": 67108864 });
      await box.client.event("PROCESS_EXITED", name);
      const next = async () => box.client.ask("OUTPUT", { process: name, after: 0, "max-bytes": 65536 });
      await eventually("all of it has come", async () => (await next()).text("ended") === "1" || (await next()).name === "ERROR");
      names.push(name);
    }
    const first = async (process = "") => box.client.ask("OUTPUT", { process, after: 0, "max-bytes": 65536 });
    await eventually("the oldest is dropped", async () => (await first(names[0])).text("code") === "dropped");
    expect((await first(names[2])).number("first")).toBe(1);
    for (const process of names) expect((await box.client.ask("FORGET", { process })).name).toBe("DONE");
  });

  test("what runs cannot be forgotten", async () => {
    const { name } = await box.exec("exec sleep 1000");
    for (const process of [name, "main"]) expect((await box.client.ask("FORGET", { process })).text("code")).toBe("running");
    await box.client.ask("SIGNAL", { process: name, signal: 9 });
  });

  test.each([
    ["a missing command", { arg: "/bin/nothing" }, "command", 2],
    ["a command that is a directory", { arg: "/etc" }, "command", 13],
    ["a missing directory", { cwd: "/nowhere" }, "cwd", 2],
    ["a missing command, with a terminal", { arg: "/bin/nothing", tty: 1 }, "command", 2],
  ])("%s is told with its layer, and leaves nothing", async (_, values, layer, errno) => {
    const { name, reply } = await box.exec("", values);
    expect([reply.text("code"), reply.text("layer"), reply.number("errno"), reply.text("guest")]).toEqual([
      "launch-failed",
      layer,
      errno,
      "1",
    ]);
    expect((await box.client.ask("ATTACH")).all("process").some((line) => line.startsWith(`${name} `))).toBe(false);
  });

  test("many at once run, end and leave no zombie", async () => {
    const started = await Promise.all(Array.from({ length: 40 }, (_, i) => box.exec(`exit ${i}`)));
    for (const [i, { name }] of started.entries()) expect((await box.client.event("PROCESS_EXITED", name)).number("code")).toBe(i);
    await eventually("no zombie", () => started.every(({ pid }) => processState(pid) === ""));
  });
});

test("many commands that do not start leave nothing that holds up the end", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    for (let round = 0; round < 10; round++) {
      const replies = await Promise.all(Array.from({ length: 10 }, () => box.exec("", { arg: "/bin/nothing" })));
      for (const { reply } of replies) expect(reply.text("layer")).toBe("command");
    }
    const children = () => file(box.supervisor, `task/${box.supervisor}/children`).trim().split(" ");
    await eventually("the init is the only child", () => `${children()}` === `${box.init}`, 10_000).catch(() => {
      expect(children().map((pid) => `${pid} ${processState(Number(pid))}`)).toEqual([`${box.init} S`]);
    });
    const { gone } = await box.end();
    expect(gone.number("milliseconds")).toBeLessThan(5_000);
  }));

test("commands that are starting when the sandbox ends do not hold up its end, and each is answered", () =>
  launcher.leavingNothing(async () => {
    for (let round = 0; round < 6; round++) {
      const box = await launcher.launch();
      const arg = round % 2 ? "/bin/nothing" : "/usr/bin/true";
      const asked = Array.from({ length: 12 }, () => box.exec("", { arg }));
      if (round > 3) await asked[round]; // some have started then, some are starting
      const [, replies] = await Promise.all([box.client.ask("STOP", { "grace-ms": 0 }), Promise.all(asked)]);
      for (const { reply } of replies)
        expect([reply.name, reply.text("code")].join(" ")).toMatch(/^(STARTED |ERROR (ended|launch-failed))$/);
      const { gone } = await box.end({ kill: false });
      expect(gone.number("milliseconds")).toBeLessThan(5_000);
    }
  }));

test("the end by the memory limit is told of a command of EXEC too", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ "memory-bytes": 48 << 20 });
    const { name } = await box.exec("a=xxxxxxxx; while :; do a=$a$a; done");
    const ended = await box.client.event("PROCESS_EXITED", name);
    expect([ended.text("reason"), ended.text("signal")]).toEqual(["out-of-memory", "9"]);
    expect(alive(box.pid)).toBe(true);
    await box.end();
  }));

test("of several that the memory limit took before the first was reaped, each one's end is told", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ "memory-bytes": 48 << 20 });
    const hungry = [];
    for (let i = 0; i < 3; i++) hungry.push(await box.exec("read; a=xxxxxxxx; while :; do a=$a$a; done", { stdin: 1 }));
    process.kill(box.supervisor, "SIGSTOP");
    try {
      for (const { pid } of hungry) writeFileSync(`/proc/${pid}/fd/0`, "\n");
      for (const { pid } of hungry) await eventually("all are dead", () => processState(pid) === "Z", 20_000);
    } finally {
      process.kill(box.supervisor, "SIGCONT");
    }
    for (const { name } of hungry) {
      const ended = await box.client.event("PROCESS_EXITED", name);
      expect([ended.text("reason"), ended.text("signal")]).toEqual(["out-of-memory", "9"]);
    }
    await box.end();
  }));

test("256 ended ones are kept; the oldest goes first, and that is told", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    for (let i = 0; i < 260; i += 20) {
      const batch = await Promise.all(Array.from({ length: 20 }, (_, j) => box.exec("", { arg: "/usr/bin/true", process: `k${i + j}` })));
      for (const { name } of batch) await box.client.event("PROCESS_EXITED", name);
    }
    const forgotten = () => box.client.events.filter((event) => event.name === "FORGOTTEN").map((event) => event.text("process"));
    await eventually("four are forgotten", () => forgotten().length === 4);
    const kept = (await box.client.ask("ATTACH")).all("process").map((line) => line.split(" ")[0]);
    expect(kept).toHaveLength(257);
    for (const name of forgotten()) {
      expect(kept).not.toContain(name);
      expect(Number(name.slice(1))).toBeLessThan(20);
    }
    await box.end();
  }));

test("512 may be alive at once, and not one more", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    const sleep = { arg: ["/usr/bin/sleep", "1000"], "output-bytes": 4096 };
    for (let i = 0; i < 512; i += 64) {
      const batch = await Promise.all(Array.from({ length: 64 }, () => box.exec("", sleep)));
      expect(batch.map(({ reply }) => reply.name).filter((name) => name !== "STARTED")).toEqual([]);
    }
    expect((await box.exec("", sleep)).reply.text("code")).toBe("busy");
    expect((await box.client.ask("ATTACH")).all("process")).toHaveLength(513);
    expect(cgroupProcesses(box.cgroup)[0]).toHaveLength(514);
    const { gone } = await box.end();
    expect(gone.text("killed")).toBe("514");
    const count = (name: string) => box.client.events.filter((event) => event.name === name).length;
    expect([count("PROCESS_EXITED"), count("FORGOTTEN")]).toEqual([512, 256]);
  }));

test("a time that is over is kept though the one who set it is gone", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    const { name, pid } = await box.exec("exec sleep 1000", { "timeout-ms": 100 });
    box.client.close();
    await eventually("killed", () => !alive(pid));
    const again = await Sandbox.attach(launcher, box.id, box.report);
    await eventually("told", async () =>
      (await again.client.ask("ATTACH"))
        .all("process")
        .some((line) => line.startsWith(`${name} `) && line.includes(" ended timed-out - 9 ")),
    );
    await again.end();
  }));

test("all of them end with the sandbox, before GONE", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    const running = await Promise.all(Array.from({ length: 5 }, () => box.exec(`trap "" TERM; sleep 1000`)));
    await box.client.ask("STOP", { "grace-ms": 0 });
    await box.client.event("GONE");
    const events = box.client.events.map((event) => event.name);
    expect(events.filter((name) => name === "PROCESS_EXITED")).toHaveLength(5);
    expect(events.at(-1)).toBe("GONE");
    for (const { name } of running) expect((await box.client.event("PROCESS_EXITED", name)).text("signal")).toBe("9");
    const report = await box.client.ask("ATTACH");
    expect(report.all("process").filter((line) => / ended signaled - 9 /.test(line))).toHaveLength(6);
    expect((await box.client.ask("OUTPUT", { process: "p1", after: 0, "max-bytes": 65536, wait: 1 })).text("ended")).toBe("1");
    await box.end({ kill: false });
  }));

test("a command that started though its asker was gone is in the report", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    const other = await RawClient.open(launcher.socket(box.id));
    const values = {
      process: "orphan",
      arg: ["/usr/bin/sleep", "1000"],
      cwd: "/",
      uid: 0,
      gid: 0,
      tty: 0,
      stdin: 0,
      "timeout-ms": 0,
      "output-bytes": 4096,
    };
    other.ask("EXEC", values).catch(() => {});
    other.socket.end();
    await eventually("it runs", async () =>
      (await box.client.ask("ATTACH")).all("process").some((line) => /^orphan .* running$/.test(line)),
    );
    await box.end();
  }));
