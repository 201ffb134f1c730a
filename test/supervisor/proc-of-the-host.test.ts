/** The host's own /proc, which a sandbox without a pid namespace is shown, where something lies on it, as systemd's binfmt_misc does. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Launcher } from "./launcher-fixture.ts";
import { file } from "./witness.ts";

const below = "/proc/sys/debug";
// In a mount namespace of its own: no other process of the host sees it.
const through = ["unshare", "--mount", "--propagation", "private", "bash", "-c"];
const script = `mount -t tmpfs below ${below} && echo text >${below}/file && chmod 666 ${below}/file && exec "$@"`;

let launcher: Launcher;
beforeAll(async () => {
  launcher = await Launcher.start({ through: [...through, script, "bash"] });
});
afterAll(() => launcher[Symbol.asyncDispose]());

test.each([
  ["with ids of its own", ["mnt", "uts", "ipc", "net", "user", "cgroup"]],
  ["with the host's ids", ["mnt", "uts", "ipc", "net", "cgroup"]],
])("it is shown, and nothing of it can be written: %s", async (_, isolate) => {
  const tries = `{ echo new >${below}/file; } 2>/dev/null && echo written || echo refused`;
  const sandbox = await launcher.bash(`cat ${below}/file; ${tries}; exec sleep 1000`, { isolate, init: 0 });
  expect(await sandbox.output("main", "ed\n")).toBe("text\nrefused\n");
  const mounts = file(sandbox.pid, "mountinfo").split("\n");
  for (const path of ["/proc/sys", below])
    expect(mounts.findLast((line) => line.split(" ")[4] === path)?.split(" ")[5], path).toMatch(/^ro,nosuid,nodev,noexec/);
  await sandbox.end();
});
