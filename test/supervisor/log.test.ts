import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { Launcher } from "./launcher-fixture.ts";
import { logBytes, readLog, textOf } from "./log-segments.ts";
import { RawClient } from "./raw-client.ts";
import { Sandbox } from "./sandbox-fixture.ts";
import { alive, file } from "./witness.ts";

let launcher: Launcher;
beforeEach(async () => {
  launcher = await Launcher.start();
});
afterEach(() => launcher[Symbol.asyncDispose]());

const directory = (id: string): string => launcher.state(`sandboxes/${id}/log`);
const logOf = (box: Sandbox) => readLog(directory(box.id));
const endings = (box: Sandbox): string[][] =>
  logOf(box)
    .filter((record) => record.kind === 3)
    .map((record) => [record.process, record.data.toString()]);

/** Ends the instance and its supervisor; the files stay. */
async function release(box: Sandbox): Promise<void> {
  await box.client.ask("STOP", { "grace-ms": 0 });
  await box.gone();
  expect((await box.client.ask("RELEASE")).name).toBe("DONE");
  await eventually("the supervisor ended", () => !alive(box.supervisor));
}

describe("the log", () => {
  test("holds what was written, as OUTPUT numbers and times it, and is not there before", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read; echo one; read; echo two >&2; read; printf '\\0\\xff'; read");
      expect(existsSync(directory(box.id))).toBe(false);
      await box.input("\n");
      await eventually("one", () => existsSync(directory(box.id)) && textOf(logOf(box), "main", 1) === "one\n");
      await box.input("\n");
      await eventually("two", () => textOf(logOf(box), "main", 2) === "two\n");
      await box.input("\n");
      await eventually("the rest", () => textOf(logOf(box), "main", 1) === "one\n\0\xff");
      const reply = await box.client.ask("OUTPUT", { process: "main", after: 0, "max-bytes": 65536 });
      const told = logOf(box).map((record) => `${record.number} ${record.kind} ${record.micros} ${record.data.length}`);
      expect(told).toEqual(reply.all("record"));
      expect([lstatSync(directory(box.id)).mode & 0o7777, readdirSync(directory(box.id))]).toEqual([0o700, ["0000000001"]]);
      await box.end();
    }));

  test("holds every process of the sandbox, terminals too, and how each ended, whether it wrote or not", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read; echo main; exit 3");
      for (const [name, script, values] of [
        ["silent", "exit 7", {}],
        ["loud", "echo out; echo err >&2", {}],
        ["seen", "echo typed; kill -9 $$", { tty: 1 }],
        ["late", "sleep 1000", { "timeout-ms": 20 }],
      ] as const) {
        expect((await box.exec(script, { process: name, ...values })).reply.name).toBe("STARTED");
        await box.client.event("PROCESS_EXITED", name);
        // Whoever is told of an end finds it in the log.
        expect(endings(box).at(-1)?.[0]).toBe(name);
      }
      expect((await box.exec("sleep 1000", { process: "along" })).reply.name).toBe("STARTED");
      await box.input("\n");
      await box.client.event("GONE");
      const records = logOf(box);
      expect(endings(box)).toEqual([
        ["silent", "exited 7 -"],
        ["loud", "exited 0 -"],
        ["seen", "signaled - 9"],
        ["late", "timed-out - 9"],
        ["main", "exited 3 -"],
        ["along", "signaled - 9"],
      ]);
      expect([textOf(records, "main", 1), textOf(records, "loud", 1), textOf(records, "loud", 2)]).toEqual(["main\n", "out\n", "err\n"]);
      expect(textOf(records, "seen", 1)).toBe("typed\r\n");
      for (const name of new Set(records.map((record) => record.process))) {
        const numbers = records.filter((record) => record.process === name).map((record) => record.number);
        expect(numbers, name).toEqual(numbers.map((_, index) => index + 1));
      }
      expect(records.map((record) => record.micros)).toEqual(records.map((record) => record.micros).sort((a, b) => a - b));
      await box.end({ kill: false });
    }));

  test("brings 20 MB through whole", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("head -c 20000000 /dev/urandom > /tmp/random; cat /tmp/random", { "output-bytes": 1 << 25 });
      await box.gone();
      const written = readFileSync(launcher.state(`sandboxes/${box.id}/upper/tmp/random`));
      const hash = createHash("sha256");
      for (const record of logOf(box)) if (record.kind === 1) hash.update(record.data);
      expect(hash.digest("hex")).toBe(createHash("sha256").update(written).digest("hex"));
      expect(readdirSync(directory(box.id)).length).toBeGreaterThanOrEqual(5);
      await box.end({ kill: false });
    }));

  test("follows a burst that it fell behind of, though nothing more comes", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("head -c 50000000 /dev/zero; read", { "output-bytes": 1 << 26 });
      await eventually("all of it", async () => {
        const next = (await box.client.ask("OUTPUT", { process: "main", after: 1_000_000, "max-bytes": 65536 })).number("next");
        return existsSync(directory(box.id)) && logOf(box).at(-1)?.number === next - 1 && logBytes(directory(box.id)) > 50_000_000;
      });
      const records = logOf(box);
      expect(records.map((record) => record.number)).toEqual(records.map((_, index) => index + 1));
      expect(textOf(records, "main", 1).length).toBe(50_000_000);
      await box.end();
    }));

  test("keeps the order in which the records of several processes came, however fast they do", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read", { "output-bytes": 1 << 26 });
      const line = "head -c 12000000 /dev/zero; echo; for i in {1..20}; do echo $i; read -t 0.001; done";
      const names = (await Promise.all(Array.from({ length: 3 }, () => box.exec(line, { "output-bytes": 1 << 26 })))).map(
        ({ name }) => name,
      );
      for (const name of names) await box.client.event("PROCESS_EXITED", name);
      const records = logOf(box);
      expect(records.map((record) => record.micros)).toEqual(records.map((record) => record.micros).sort((a, b) => a - b));
      for (const name of names) {
        const own = records.filter((record) => record.process === name);
        expect(own.map((record) => record.number)).toEqual(own.map((_, index) => index + 1));
        const text = textOf(own, name, 1);
        const numbers = [...Array(20).keys()].map((index) => `${index + 1}\n`).join("");
        expect([text.slice(12_000_000), text.lastIndexOf("\0")]).toEqual([`\n${numbers}`, 11_999_999]);
      }
      await box.end();
    }));

  test("of a process whose own bound is smaller holds more than that one's", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read", { "output-bytes": 1 << 25 });
      const { name } = await box.exec("head -c 20000000 /dev/zero", { "output-bytes": 1 << 20 });
      await box.client.event("PROCESS_EXITED", name);
      expect(textOf(logOf(box), name, 1).length).toBe(20_000_000);
      await box.end();
    }));

  test.each([4096, 65_536, 1 << 20])("keeps the end of what was written, within %d bytes at any time (check 42)", (bound) =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read; printf '%06d\\n' {1..400000}; head -c 30000000 /dev/zero; echo end", {
        "output-bytes": bound,
      });
      await box.input("\n");
      let [most, looks] = [0, 0];
      await eventually("the end", async () => {
        // Held where it stands, or what is removed and what is added meanwhile would both be counted.
        process.kill(box.supervisor, "SIGSTOP");
        await eventually("it stands", () => file(box.supervisor, "stat").includes(") T "));
        if (existsSync(directory(box.id))) most = Math.max(most, logBytes(directory(box.id)));
        process.kill(box.supervisor, "SIGCONT");
        looks += 1;
        return box.client.events.some((event) => event.name === "EXITED");
      });
      expect([most <= bound, looks > 1]).toEqual([true, true]);
      expect(logBytes(directory(box.id))).toBeLessThanOrEqual(bound);
      const text = textOf(logOf(box), "main", 1);
      const all = `${[...Array(400_000).keys()].map((i) => String(i + 1).padStart(6, "0")).join("\n")}\n${"\0".repeat(30_000_000)}end\n`;
      expect(all.endsWith(text)).toBe(true);
      // A segment is removed as a whole; the rest is headers and the record that did not fit.
      if (bound > 4096) expect(text.length).toBeGreaterThan(bound / 2);
      // Any two that follow each other hold more than one may.
      expect(readdirSync(directory(box.id)).length).toBeLessThanOrEqual(17);
      await box.end({ kill: false });
    }),
  );

  test("goes on in a segment of its own at the next start, and what is there counts towards the bound", () =>
    launcher.leavingNothing(async () => {
      const first = await launcher.bash("head -c 30000 /dev/zero; echo first", { id: "again", "output-bytes": 40_000 });
      await first.gone();
      const before = logOf(first);
      const newest = before.at(-1)?.segment ?? 0;
      await release(first);
      const second = await launcher.bash("head -c 20000 /dev/zero; echo second", { id: "again", "output-bytes": 40_000 });
      await second.gone();
      const after = logOf(second);
      const run = after.filter((record) => record.segment > newest);
      expect(run[0]).toMatchObject({ segment: newest + 1, process: "main", number: 1 });
      expect(textOf(run, "main", 1)).toMatch(/^\0{20000}second\n$/);
      expect([run.at(-1)?.kind, logBytes(directory("again")) <= 40_000]).toEqual([3, true]);
      expect(after.length).toBeLessThan(before.length + run.length);
      await second.end({ kill: false });
    }));

  test("is that of LAUNCH also for a process with a larger bound of its own", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read", { "output-bytes": 8192 });
      const text = await box.says("printf '%05d\\n' {1..20000}", { process: "large", "output-bytes": 1 << 20 });
      expect(text.length).toBe(120_000);
      await box.client.event("PROCESS_EXITED", "large");
      expect(logBytes(directory(box.id))).toBeLessThanOrEqual(8192);
      expect(text.endsWith(textOf(logOf(box), "large", 1))).toBe(true);
      expect(endings(box)).toEqual([["large", "exited 0 -"]]);
      expect((await box.client.ask("ATTACH")).number("log-lost-records")).toBe(0);
      await box.end();
    }));

  test("is kept where the sandbox has no root of its own", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("echo host; exit 2", { isolate: ["uts", "ipc", "net", "pid", "user", "cgroup"], root: null });
      await box.gone();
      expect([textOf(logOf(box), "main", 1), endings(box)]).toEqual(["host\n", [["main", "exited 2 -"]]]);
      await box.end({ kill: false });
    }));

  test("is none of a sandbox that only holds namespaces, nor of a launch that fails", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.launch({ arg: null, hold: 1, init: 0 });
      await box.client.ask("STOP", { "grace-ms": 0 });
      await box.gone();
      expect(existsSync(directory(box.id))).toBe(false);
      await box.end({ kill: false });
      expect((await launcher.ask({ id: "failing", arg: ["/bin/nothing"] })).text("code")).toBe("launch-failed");
      expect(existsSync(launcher.state("sandboxes/failing"))).toBe(false);
    }));

  test("goes with the sandbox's files, by RELEASE as by REMOVE", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("echo x", { id: "removed" });
      await box.gone();
      expect(logOf(box).length).toBe(2);
      const done = await box.client.ask("RELEASE", { remove: 1 });
      expect([done.name, existsSync(launcher.state("sandboxes/removed"))]).toEqual(["DONE", false]);
      await eventually("the supervisor ended", () => !alive(box.supervisor));
    }));

  test("that cannot be written stops nobody, and is told once", () =>
    launcher.leavingNothing(async () => {
      mkdirSync(launcher.state("sandboxes/blocked"), { mode: 0o700 });
      writeFileSync(launcher.state("sandboxes/blocked/log"), "in the way");
      const box = await launcher.bash("for i in {1..50}; do echo line $i; read -t 0.001; done; exit 5", { id: "blocked" });
      const report = await box.gone();
      expect([report.text("code"), (await box.output()).split("\n").length]).toEqual(["5", 51]);
      expect(report.number("log-lost-records")).toBeGreaterThan(1);
      expect(report.number("log-lost-bytes")).toBeGreaterThan(300);
      expect(launcher.log().match(/its log cannot be written/g)).toHaveLength(1);
      expect(readFileSync(launcher.state("sandboxes/blocked/log"), "utf8")).toBe("in the way");
      await box.end({ kill: false });
    }));
});

describe("the log survives", () => {
  test("an asker that is gone and a launcher that is killed", async () => {
    const box = await launcher.bash("read; echo after; exit 9", { id: "orphan" });
    const ended = once(launcher.process, "exit");
    process.kill(launcher.pid, "SIGKILL");
    await ended;
    await box.input("\n");
    box.client.close();
    await eventually("its end", () => existsSync(directory("orphan")) && endings(box).length === 1);
    expect([textOf(logOf(box), "main", 1), endings(box)]).toEqual(["after\n", [["main", "exited 9 -"]]]);
    await launcher.run();
    const adopted = await Sandbox.attach(launcher, "orphan");
    await adopted.gone();
    expect((await adopted.client.ask("RELEASE", { remove: 1 })).name).toBe("DONE");
  });

  test("a supervisor that is killed: what an asker was told is in it", async () => {
    const box = await launcher.bash("while :; do echo line $((++i)); read -t 0.0005; done", { id: "lost", "output-bytes": 1 << 22 });
    const reader = await RawClient.open(launcher.socket("lost"));
    await eventually("some of it", () => existsSync(directory("lost")) && logOf(box).length > 50);
    process.kill(box.supervisor, "SIGKILL");
    await eventually("it is gone", () => reader.closed && !alive(box.supervisor));
    const text = textOf(logOf(box), "main", 1);
    const lines = text.split("\n").length - 1;
    expect(text).toBe([...Array(lines).keys()].map((i) => `line ${i + 1}\n`).join(""));
    expect(endings(box)).toEqual([]);
    const before = readdirSync(directory("lost"));
    await eventually("it is cleaned", () => !existsSync(launcher.socket("lost")));
    await launcher.settled();
    expect(readdirSync(directory("lost"))).toEqual(before);
    const next = await launcher.bash("echo next", { id: "lost", "output-bytes": 1 << 22 });
    await next.gone();
    expect([textOf(logOf(next), "main", 1), endings(next)]).toEqual([`${text}next\n`, [["main", "exited 0 -"]]]);
    await next.end({ kill: false });
  });
});
