/** LAUNCH with `disk`: the image is the sandbox's alone, whoever is killed. The witnesses are losetup, flock, and the files on the host. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DiskImages } from "../../server/host/disk-images.ts";
import { eventually } from "./eventually.ts";
import { Launcher } from "./launcher-fixture.ts";
import { alive } from "./witness.ts";

const bytes = 33_554_432;
let launcher: Launcher;
beforeAll(async () => {
  launcher = await Launcher.start();
});
afterAll(() => launcher[Symbol.asyncDispose]());

const image = (id: string) => launcher.state(`sandboxes/${id}/disk`);
const make = async (): Promise<string> => {
  const id = launcher.newId();
  await new DiskImages(launcher.state()).make(id, bytes);
  return id;
};
const device = (id: string) =>
  spawnSync("losetup", ["--noheadings", "--output", "NAME", "-j", image(id)], { encoding: "utf8" }).stdout.trim();
const remove = (id: string) => launcher.client.ask("REMOVE", { id });

test("a sandbox writes to its image and nowhere else; device and lock end with it", () =>
  launcher.leavingNothing(async () => {
    const id = await make();
    const box = await launcher.launch({ id, disk: 1 });
    expect(await box.says("echo text > /f; cat /f")).toBe("text\n");
    expect(device(id)).toMatch(/^\/dev\/loop\d+$/);
    expect(existsSync(launcher.state(`sandboxes/${id}/upper`))).toBe(false);
    const used = await box.client.ask("USAGE");
    expect([used.name, used.number("disk-bytes")]).toEqual(["USED", bytes]);
    expect(used.number("disk-available-bytes")).toBeLessThan(bytes - used.number("disk-used-bytes"));
    expect(spawnSync("flock", ["--nonblock", image(id), "true"]).status).toBe(1);
    await box.client.ask("STOP", { "grace-ms": 0 });
    await box.gone();
    // Gone means: the kernel has let go of it.
    expect(device(id)).toBe("");
    expect((await box.client.ask("USAGE")).text("code")).toBe("ended");
    expect(spawnSync("flock", ["--nonblock", image(id), "true"]).status).toBe(0);
    await box.end({ kill: false });
    expect(existsSync(image(id))).toBe(false);
  }));

test("a launch waits for the image, and never shares it", () =>
  launcher.leavingNothing(async () => {
    const id = await make();
    const holder = spawn("flock", [image(id), "cat"], { stdio: ["pipe", "ignore", "ignore"] });
    const ended = once(holder, "exit");
    await eventually("it is locked", () => spawnSync("flock", ["--nonblock", image(id), "true"]).status === 1);
    const refused = await launcher.ask({ id, disk: 1 });
    expect([refused.text("code"), refused.text("layer"), device(id)]).toEqual(["launch-failed", "disk", ""]);
    const waiting = launcher.launch({ id, disk: 1 });
    holder.stdin.end();
    await ended;
    await (await waiting).end();
  }));

test("a supervisor that is killed leaves no device", () =>
  launcher.leavingNothing(async () => {
    const id = await make();
    const box = await launcher.launch({ id, disk: 1 });
    expect(await box.says("echo kept > /f; echo done")).toBe("done\n");
    process.kill(box.supervisor, "SIGKILL");
    await eventually("it ended", () => !alive(box.supervisor));
    const cleaned = await launcher.client.ask("CLEAN", { id, slot: box.report.number("slot") });
    expect([cleaned.name, cleaned.text("complete"), device(id)]).toEqual(["CLEANED", "1", ""]);
    const again = await launcher.launch({ id, disk: 1 });
    expect(await again.says("cat /f")).toBe("kept\n");
    await again.end();
  }));

test("a command that cannot be executed leaves no device", () =>
  launcher.leavingNothing(async () => {
    const id = await make();
    for (const arg of ["/bin/nothing", "/etc"]) {
      expect((await launcher.ask({ id, disk: 1, arg })).text("layer")).toBe("command");
      expect(spawnSync("flock", ["--nonblock", image(id), "true"]).status).toBe(0);
      expect(device(id)).toBe("");
    }
    await remove(id);
  }));

test("what is no image is refused, and an image is not passed over", () =>
  launcher.leavingNothing(async () => {
    const id = await make();
    const without = await launcher.ask({ id });
    expect([without.text("code"), without.text("layer"), without.number("errno")]).toEqual(["launch-failed", "disk", 17]);
    writeFileSync(image(id), Buffer.alloc(1_000_000, 7));
    expect((await launcher.ask({ id, disk: 1 })).text("layer")).toBe("disk");
    expect(device(id)).toBe("");
    await remove(id);
    mkdirSync(launcher.state(`sandboxes/${id}`), { mode: 0o700 });
    const missing = await launcher.ask({ id, disk: 1 });
    expect([missing.text("layer"), missing.number("errno")]).toEqual(["disk", 2]);
    await remove(id);
  }));

test("without a disk there is none to tell of", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    const used = await box.client.ask("USAGE");
    expect([used.name, used.fields.has("disk-bytes")]).toEqual(["USED", false]);
    await box.end();
  }));
