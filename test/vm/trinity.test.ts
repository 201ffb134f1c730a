/**
 * Check 46, its second half: trinity inside a sandbox of the installed package, with all that the filter lets through. On a kernel of its own,
 * since a finding would be one of the kernel's. A quarter of an hour in which nothing else happens.
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { fuzzer } from "./cargo.ts";
import { complaints, fingerprint } from "./fingerprint.ts";
import { counted, fuzz, startCounting, tried } from "./fuzzing.ts";
import { Guest } from "./guest.ts";

vi.setConfig({ testTimeout: 3_600_000, hookTimeout: 3_600_000 });
const minutes = 10;
const limits = { memoryBytes: 512 << 20, pids: 200, cpus: 1.5 };
/** Of `connect`, `sendto` and `sendmsg` in the 32 bit table: numbers that the other one has not. */
const connecting = [362, 369, 370];

let guest: Guest;
beforeAll(async () => {
  guest = await Guest.start(fuzzer, 2_048);
  await guest.run("dpkg --force-unsafe-io --install /mnt/unshared.deb </dev/null", 1_500_000);
  await guest.until("curl -sf --unix-socket /run/unshared/unshared.sock http://localhost/readyz >/dev/null", 600_000);
  const source = { kind: "copy", binaries: ["/bin/bash", "/mnt/trinity"] };
  await guest.get("POST", "/roots?wait=300", { name: "fuzzed", source });
  await startCounting(guest);
});
afterAll(async () => {
  await guest?.[Symbol.asyncDispose]();
});

test("what looks for harm finds it", async () => {
  const before = await fingerprint(guest);
  const old = await guest.run("sysctl -n vm.overcommit_ratio; sysctl -qw vm.overcommit_ratio=51");
  expect(await fingerprint(guest)).not.toBe(before);
  await guest.run(`sysctl -qw vm.overcommit_ratio=${old}`);
  expect(await fingerprint(guest)).toBe(before);
  expect(await complaints(guest)).toEqual([]);
  await guest.run("echo 'WARNING: CPU: 0 at nowhere' >/dev/kmsg");
  expect(await complaints(guest)).toEqual(["WARNING: CPU: 0 at nowhere"]);
});

test(`trinity, for ${minutes} minutes as a user of a sandbox, does the kernel no harm and changes nothing of the host (check 46)`, async () => {
  const daemon = await guest.run("systemctl show unshared.service -p MainPID --value");
  const before = { complaints: await complaints(guest), fingerprint: await fingerprint(guest) };
  await guest.get("POST", "/sandboxes?start=true", { name: "fuzz", root: "fuzzed", command: ["/bin/bash"], limits });

  const said = await fuzz(guest, "fuzz", minutes * 60_000);
  const [passed, all] = [await counted(guest, "sys_enter"), await counted(guest, "sys_exit")];
  const { cpu } = (await guest.get("GET", "/sandboxes/fuzz/stats")).usage;
  const calls = { passed: tried(passed), denied: tried(all) - tried(passed), numbersPassed: passed.size, numbers: all.size };
  console.error(`trinity: ${JSON.stringify({ said, calls, cpu })}`);

  expect((await guest.get("DELETE", "/sandboxes/fuzz")).complete).toBe(true);
  expect(await complaints(guest)).toEqual(before.complaints);
  expect(await guest.run("systemctl show unshared.service -p MainPID --value")).toBe(daemon);
  expect(await guest.run("cat /proc/[0-9]*/comm | grep -c trinity || true")).toBe("0");
  expect(await fingerprint(guest)).toBe(before.fingerprint);

  // That it did what it is for, as it says and as the kernel counts.
  expect(said.calls).toBeGreaterThan(50_000);
  expect(said.successes).toBeGreaterThan(5_000);
  expect(calls.passed).toBeGreaterThan(50_000);
  expect(calls.denied).toBeGreaterThan(5_000);
  expect(calls.numbersPassed).toBeGreaterThan(150);
  expect(connecting.filter((number) => all.has(number))).toEqual([]);
  expect(cpu.usageSeconds).toBeGreaterThan(60);

  // And that the host serves as before.
  await guest.get("POST", "/sandboxes?start=true", { name: "next", root: "fuzzed", command: ["/bin/bash"] });
  const { output } = await guest.get("POST", "/sandboxes/next/processes?wait=200", { command: ["/bin/bash", "-c", "echo well"] });
  expect(output.stdout.data).toBe("well\n");
});
