import { createHash } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { Launcher } from "./launcher-fixture.ts";
import { RawClient, type Reply } from "./raw-client.ts";
import type { Sandbox } from "./sandbox-fixture.ts";

let launcher: Launcher;
beforeAll(async () => {
  launcher = await Launcher.start();
});
afterAll(() => launcher[Symbol.asyncDispose]());

const ask = (client: RawClient, after: number, wait = 0, maxBytes = 65536): Promise<Reply> =>
  client.ask("OUTPUT", { process: "main", after, "max-bytes": maxBytes, wait });

interface Record {
  number: number;
  stream: number;
  time: number;
  length: number;
}
const recordsOf = (reply: Reply): Record[] =>
  reply.all("record").map((line) => {
    const [number, stream, time, length] = line.split(" ").map(Number) as [number, number, number, number];
    return { number, stream, time, length };
  });

describe("OUTPUT", () => {
  test("numbers the records, names their stream and time, and gives their bytes in order", () =>
    launcher.leavingNothing(async () => {
      const before = Date.now() * 1000;
      const box = await launcher.bash("echo one; read; echo two >&2; read; echo three; read");
      for (const [i, text] of ["one", "two", "three"].entries()) {
        const reply = await ask(box.client, i, 1);
        expect(reply.payload.toString()).toBe(`${text}\n`);
        expect(recordsOf(reply)).toEqual([
          { number: i + 1, stream: text === "two" ? 2 : 1, time: expect.any(Number), length: text.length + 1 },
        ]);
        expect(recordsOf(reply)[0]?.time).toBeGreaterThan(before);
        expect([reply.text("first"), reply.number("next"), reply.text("ended"), reply.text("dropped-bytes")]).toEqual([
          "1",
          i + 2,
          "0",
          "0",
        ]);
        await box.input("\n");
      }
      const all = await ask(box.client, 0);
      expect(all.payload.toString()).toBe("one\ntwo\nthree\n");
      expect(recordsOf(all).map((record) => record.number)).toEqual([1, 2, 3]);
      await box.end({ kill: false });
    }));

  test("without wait answers at once, with nothing where there is nothing", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.launch();
      const reply = await ask(box.client, 0);
      expect([reply.text("first"), reply.text("next"), reply.text("ended"), reply.payload.length]).toEqual(["1", "1", "0", 0]);
      await box.end();
    }));

  test("with wait answers when the process has ended", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.launch();
      const waiting = ask(box.client, 0, 1);
      await box.client.ask("STOP", { "grace-ms": 0 });
      expect([(await waiting).text("ended"), (await waiting).payload.length]).toEqual(["1", 0]);
      await box.end();
    }));

  test("that waits does not hold other requests up, and is lost with its connection alone", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.launch();
      const other = await RawClient.open(launcher.socket(box.id));
      const lost = ask(other, 0, 1).catch((error: Error) => error.message);
      const kept = ask(box.client, 0, 1);
      await box.client.ask("ATTACH");
      other.close();
      expect(await lost).toBe("the connection was closed");
      await box.input("echo hello\n");
      expect((await kept).payload.toString()).toBe("hello\n");
      await box.end();
    }));

  test("keeps the last bytes, counts what went, and says where to go on", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("for i in {1..400}; do echo line $i; read -t 0.0001; done; read", { "output-bytes": 4096 });
      await eventually("all is written", async () => {
        const reply = await ask(box.client, (await ask(box.client, 1_000_000)).number("next") - 2);
        return reply.payload.toString().includes("line 400");
      });
      const dropped = await ask(box.client, 0);
      expect([dropped.name, dropped.text("code")]).toEqual(["ERROR", "dropped"]);
      const rest = await ask(box.client, dropped.number("first") - 1);
      const lines = rest.payload.toString();
      expect(lines).toMatch(/line 399\nline 400\n$/);
      const total = [...Array(400).keys()].map((i) => `line ${i + 1}\n`).join("").length;
      expect(rest.number("dropped-bytes") + lines.length).toBe(total);
      expect(rest.payload.length + 16 * recordsOf(rest).length).toBeLessThanOrEqual(4096);
      await box.end();
    }));

  test("keeps the last bytes of a burst that is larger than all that is kept (check 42)", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read; printf '%05d\\n' {1..20000}; read", { "output-bytes": 4096 });
      await box.input("\n");
      const seen = await eventually("all is written", async () => {
        const end = await ask(box.client, 1_000_000_000);
        const reply = await ask(box.client, end.number("first") - 1);
        return reply.payload.length + reply.number("dropped-bytes") === 120_000 && reply;
      });
      expect(seen.payload.length).toBeGreaterThan(1000); // were each line a record of its own, it would be 1,116
      expect(seen.payload.toString()).toMatch(/19999\n20000\n$/);
      await box.end();
    }));

  test("gives no more than max-bytes at a time, and nothing twice", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("head -c 300000 /dev/zero; read", { "output-bytes": 1 << 20 });
      await eventually("all is there", async () => (await ask(box.client, 0, 0, 786432)).payload.length === 300_000);
      let bytes = 0;
      for (let after = 0, replies = 0; bytes < 300_000; replies++) {
        const reply = await ask(box.client, after);
        expect(reply.payload.length).toBeLessThanOrEqual(65536);
        expect(recordsOf(reply)[0]?.number).toBe(after + 1);
        bytes += reply.payload.length;
        after = recordsOf(reply).at(-1)?.number ?? after;
        expect(replies).toBeLessThan(100);
      }
      expect(bytes).toBe(300_000);
      await box.end();
    }));

  test("gives at most 4,000 records in one reply", () =>
    launcher.leavingNothing(async () => {
      // A read in between, so that most lines are records of their own.
      const box = await launcher.bash("for i in {1..30000}; do echo $i; done; read", { "output-bytes": 1 << 22 });
      await eventually("the end", async () => (await box.output("main", "30000\n")) !== "");
      for (let after = 0, text = ""; ; ) {
        const reply = await ask(box.client, after, 0, 786432);
        expect(recordsOf(reply).length).toBeLessThanOrEqual(4000);
        text += reply.payload;
        after = recordsOf(reply).at(-1)?.number ?? after;
        if (after + 1 < reply.number("next")) continue;
        expect(text).toBe([...Array(30_000).keys()].map((i) => `${i + 1}\n`).join(""));
        break;
      }
      await box.end();
    }));

  test("gives several readers the same, each at its own pace", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("for i in {1..3000}; do echo line $i; done", { "output-bytes": 1 << 20 });
      const reader = async (pause: number) => {
        const client = await RawClient.open(launcher.socket(box.id));
        let text = "";
        for (let after = 0, ended = false; !ended; ) {
          const reply = await ask(client, after, 1);
          text += reply.payload;
          after = recordsOf(reply).at(-1)?.number ?? after;
          ended = reply.text("ended") === "1" && after + 1 >= reply.number("next");
          if (pause) await new Promise((next) => setTimeout(next, pause));
        }
        client.close();
        return text;
      };
      const expected = [...Array(3000).keys()].map((i) => `line ${i + 1}\n`).join("");
      for (const text of await Promise.all([reader(0), reader(0), reader(3), reader(11)])) expect(text).toBe(expected);
      await box.end({ kill: false });
    }));

  test("that is asked for and not read waits for its reader, takes little memory, and holds nobody up (check 42)", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("head -c 700000 /dev/zero; read", { "output-bytes": 1 << 20 });
      await eventually("all is there", async () => (await ask(box.client, 0, 0, 786432)).payload.length === 700_000);
      const reader = await RawClient.open(launcher.socket(box.id));
      await ask(reader, 0);
      const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${box.supervisor}/status`, "utf8"))?.[1]) * 1024;
      const before = resident();
      reader.socket.pause();
      const asked = Array.from({ length: 60 }, (_, index) => ask(reader, 0, index % 2, 786432));
      for (let round = 0; round < 20; round += 1) expect((await ask(box.client, 0)).name).toBe("RECORDS");
      // 60 answers would be 42 MB; the sanitizers' allocator takes its share of what is freed.
      expect(resident() - before).toBeLessThan(20_000_000);
      reader.socket.resume();
      for (const reply of await Promise.all(asked)) expect(reply.payload.length).toBe(700_000);
      reader.close();
      await box.end();
    }));

  test("that waits for its reader is answered when the process is forgotten", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read");
      const { client } = box;
      const command = { arg: ["/bin/bash", "-c", "head -c 700000 /dev/zero"], env: "PATH=/usr/bin:/bin", cwd: "/", uid: 0, gid: 0 };
      await client.ask("EXEC", { process: "p", ...command, tty: 0, stdin: 0, "timeout-ms": 0, "output-bytes": 1 << 20 });
      await client.event("PROCESS_EXITED");
      const reader = await RawClient.open(launcher.socket(box.id));
      reader.socket.pause();
      const asked = Array.from({ length: 8 }, () => reader.ask("OUTPUT", { process: "p", after: 0, "max-bytes": 786432, wait: 1 }));
      // One more request of the same connection tells that those before it were taken.
      const attached = reader.ask("ATTACH", {});
      await new Promise((next) => setTimeout(next, 100));
      await client.ask("FORGET", { process: "p" });
      reader.socket.resume();
      for (const reply of await Promise.all(asked)) expect(reply.payload.length).toBe(700_000);
      expect((await attached).name).toBe("REPORT");
      reader.close();
      await box.end();
    }));

  test("brings 20 MB through whole", () =>
    launcher.leavingNothing(async () => {
      const size = 20_000_000;
      const box = await launcher.bash(`head -c ${size} /dev/urandom > /tmp/random; cat /tmp/random; exec 1>&-; read`, {
        "output-bytes": 1 << 25,
      });
      const hash = createHash("sha256");
      let bytes = 0;
      for (let after = 0; bytes < size; ) {
        const reply = await ask(box.client, after, 1, 786432);
        hash.update(reply.payload);
        bytes += reply.payload.length;
        after = recordsOf(reply).at(-1)?.number ?? after;
      }
      const written = readFileSync(launcher.state(`sandboxes/${box.id}/upper/tmp/random`));
      expect(hash.digest("hex")).toBe(createHash("sha256").update(written).digest("hex"));
      await box.end();
    }));

  test.each([0, 7])("and stdin of uid %i can be opened again by their names, by the main process and by those of EXEC", (uid) =>
    launcher.leavingNothing(async () => {
      const script = "echo out >/dev/stdout; echo err >/dev/stderr; read line </dev/stdin; echo $line";
      const lines = (text: string) => text.split("\n").filter(Boolean).sort();
      const main = await launcher.bash(script, { uid, gid: uid });
      await main.input("main\n");
      expect(lines(await main.output())).toEqual(["err", "main", "out"]);
      await main.end({ kill: false });
      const box = await launcher.bash("read");
      const { name } = await box.exec(script, { uid, gid: uid, stdin: 1 });
      expect((await box.client.ask("INPUT", { process: name }, "exec\n")).name).toBe("DONE");
      expect(lines(await box.output(name))).toEqual(["err", "exec", "out"]);
      await box.end();
    }),
  );

  test("tells the end though a child goes on writing", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("(while :; do echo child; read -t 0.001; done) & read -t 0.02; echo last; exit 4");
      expect(await box.output()).toContain("last");
      const { exited } = await box.end({ kill: false });
      expect(exited.text("code")).toBe("4");
    }));
});

describe("INPUT", () => {
  let box: Sandbox;
  const start = async (arg: string[]) => {
    box = await launcher.launch({ arg, "output-bytes": 1 << 22 });
  };

  test("goes in as it is, up to the close", () =>
    launcher.leavingNothing(async () => {
      await start(["/usr/bin/cat"]);
      const bytes = Buffer.from([...Array(256).keys()]);
      expect((await box.client.ask("INPUT", { process: "main" }, bytes)).name).toBe("DONE");
      expect((await box.client.ask("INPUT", { process: "main", close: 1 }, "end")).name).toBe("DONE");
      await box.client.event("EXITED");
      expect((await ask(box.client, 0)).payload).toEqual(Buffer.concat([bytes, Buffer.from("end")]));
      expect((await box.input("more")).text("code")).toBe("closed");
      const { exited } = await box.end({ kill: false });
      expect(exited.text("code")).toBe("0");
    }));

  test("without a payload only closes", () =>
    launcher.leavingNothing(async () => {
      await start(["/usr/bin/cat"]);
      expect((await box.client.ask("INPUT", { process: "main", close: 1 })).name).toBe("DONE");
      await box.end({ kill: false });
    }));

  test("waits until all is taken; another one meanwhile is told that it is busy", () =>
    launcher.leavingNothing(async () => {
      await start(["/bin/bash", "-c", "read -N 1; cat"]);
      // Stopped before there is anything to read: bash would start its cat at the first byte, and that one is not stopped.
      await box.client.ask("SIGNAL", { process: "main", signal: 19 });
      let done = false;
      const large = box.input("x".repeat(400_000)).then((reply) => {
        done = true;
        return reply;
      });
      // The pipe holds less than that, and nobody reads it.
      expect((await box.input("y")).text("code")).toBe("busy");
      expect(done).toBe(false);
      await box.client.ask("SIGNAL", { process: "main", signal: 18 });
      expect((await large).name).toBe("DONE");
      expect((await box.input("z", { close: 1 })).name).toBe("DONE");
      expect((await box.output()).length).toBe(400_000);
      await box.end({ kill: false });
    }));

  test("that nobody will read is answered with closed", () =>
    launcher.leavingNothing(async () => {
      await start(["/bin/bash", "-c", "exec 0<&-; echo closed; exec sleep 1000"]);
      // Its PID 1 has let go of the command's stdio before anybody was told of the command.
      const pipesOf = (pid: number): string[] =>
        readdirSync(`/proc/${pid}/fd`)
          .map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
          .filter((target) => target.startsWith("pipe:"));
      const [last, ...more] = pipesOf(box.init);
      expect(more).toEqual([]);
      expect(pipesOf(box.pid)).not.toContain(last);
      await box.output("main", "closed");
      expect((await box.input("x")).text("code")).toBe("closed");
      await box.end();
    }));

  test("under way when the sandbox ends is answered", () =>
    launcher.leavingNothing(async () => {
      await start(["/usr/bin/sleep", "1000"]);
      const large = box.input("x".repeat(400_000));
      await box.client.ask("STOP", { "grace-ms": 0 });
      expect((await large).text("code")).toBe("closed");
      await box.end();
    }));

  test("goes on when the one who sent it is gone", () =>
    launcher.leavingNothing(async () => {
      await start(["/bin/bash", "-c", "read -N 300000 all; echo ${#all}"]);
      await box.client.ask("SIGNAL", { process: "main", signal: 19 });
      const other = await RawClient.open(launcher.socket(box.id));
      other.ask("INPUT", { process: "main" }, "x".repeat(300_000)).catch(() => {});
      await eventually("under way", async () => (await box.input("")).text("code") === "busy");
      other.close();
      await box.client.ask("ATTACH");
      await box.client.ask("SIGNAL", { process: "main", signal: 18 });
      expect(await box.output()).toBe("300000\n");
      await box.end({ kill: false });
    }));

  test("RESIZE without a terminal is refused", () =>
    launcher.leavingNothing(async () => {
      await start(["/usr/bin/cat"]);
      expect((await box.client.ask("RESIZE", { process: "main", rows: 1, columns: 1 })).text("code")).toBe("no-terminal");
      await box.end();
    }));
});
