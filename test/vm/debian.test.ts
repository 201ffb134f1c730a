/**
 * A stock host: Debian 12 under systemd, its own kernel, pure cgroup v2. The package is installed, used, upgraded, removed and purged there,
 * and the machine is rebooted. The tests are steps of one story. What the API says is compared with the guest's own files and programs.
 */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Guest } from "./guest.ts";
import { askAll } from "./probes.ts";

vi.setConfig({ testTimeout: 1_800_000, hookTimeout: 900_000 });

let guest: Guest;
beforeAll(async () => {
  guest = await Guest.start();
});
afterAll(async () => {
  await guest?.[Symbol.asyncDispose]();
});

const units = "unshared.service unshared.socket unshared-launcher.service";
const unitShow = async (unit: string, property: string) => guest.run(`systemctl show ${unit} -p ${property} --value`);
const daemonPid = async () => Number(await unitShow("unshared.service", "MainPID"));
/** Files of the cgroup of a process, by name. */
const cgroupFiles = async (pid: number, ...names: string[]): Promise<Record<string, string>> => {
  const script = names.map((name) => `printf '%s=' ${name}; tr '\\n' ' ' <$d/${name}; echo`).join("; ");
  const lines = (await guest.run(`d=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/${pid}/cgroup); ${script}`)).split("\n");
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1).trim()]));
};
const launch = (definition: object) => guest.get("POST", "/sandboxes?start=true", definition);
const bash = async (sandbox: string, script: string) => {
  const process = await guest.get("POST", `/sandboxes/${sandbox}/processes?wait=200`, { command: ["/bin/bash", "-c", script] });
  expect(process.state).toBe("ended");
  return process;
};
/** That it runs and is the very process that was started. */
const lives = async (report: { id: string; process: { pid: number; startTicks: number } }) => {
  const now = await guest.get("GET", `/sandboxes/${report.id}`);
  expect([now.status.state, now.process]).toEqual(["running", report.process]);
  const stat = await guest.run(`sed 's/.*) //' /proc/${report.process.pid}/stat`);
  expect(Number(stat.split(" ")[19])).toBe(report.process.startTicks);
};
const hungry = "a=xxxxxxxx; while :; do a=$a$a; done";

test("the package installs, and its units serve", async () => {
  await guest.run("dpkg --force-unsafe-io --install /mnt/old.deb </dev/null", 1_500_000);
  await guest.until(`[[ $(systemctl is-active ${units} | xargs) == 'active active active' ]]`, 600_000);
  const journal = await guest.run(
    "journalctl -b --no-pager -o short-monotonic -u unshared.service -u unshared-launcher.service | tail -n 40",
  );
  expect(await unitShow("unshared.service", "NRestarts"), journal).toBe("0");
  expect(await guest.run(`systemctl is-enabled ${units}`)).toBe("enabled\nenabled\nenabled");
  expect(await unitShow("unshared.service", "StatusText")).toMatch(/^serving/);
  expect(await guest.run("stat -c '%a %U:%G' /run/unshared/unshared.sock /run/unshared /var/lib/unshared")).toBe(
    "660 root:unshared\n750 root:unshared\n700 root:root",
  );
});

test("the host has all that is required, and cgroups of version 2 alone", async () => {
  const { checks } = await guest.get("GET", "/preflight");
  const notOk = checks.filter(({ status }: { status: string }) => status !== "ok");
  // Debian has Yama, and has it off.
  expect(await guest.run("cat /proc/sys/kernel/yama/ptrace_scope")).toBe("0");
  expect(notOk).toEqual([expect.objectContaining({ name: "yama", status: "weak", detail: "kernel.yama.ptrace_scope is 0" })]);
  expect((await guest.get("GET", "/info")).launcher.cgroupLayout).toBe("v2");
  expect(await guest.run("findmnt -rno FSTYPE -t cgroup,cgroup2")).toBe("cgroup2");
});

let main: { id: string; process: { pid: number; startTicks: number } };

test("a sandbox starts, and its limits stand in the files of its cgroup", async () => {
  await guest.until(
    `curl -sS --unix-socket /run/unshared/unshared.sock http://localhost/v1/roots/default | grep -q '"state":"ready"'`,
    600_000,
  );
  const limits = { memoryBytes: 67_108_864, cpus: 0.5, cpuWeight: 300, pids: 40 };
  const report = await launch({ name: "main", limits });
  main = report;
  expect(report.status.state).toBe("running");
  const inodes = await guest.run(
    `for t in mnt uts ipc net pid user cgroup; do stat -Lc %i /proc/${report.process.pid}/ns/$t /proc/1/ns/$t; done`,
  );
  const seen = inodes.split("\n").map(Number);
  const told = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup"].flatMap((type) => [
    report.namespaces[type].inode,
    report.namespaces[type].hostInode,
  ]);
  expect(told).toEqual(seen);
  expect(new Set(seen).size).toBe(14);
  const files = ["memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"];
  expect(await cgroupFiles(report.process.pid, ...files)).toEqual({
    "memory.max": "67108864",
    "memory.swap.max": "0",
    "cpu.max": "50000 100000",
    "cpu.weight": "300",
    "pids.max": "40",
  });
});

test("the out-of-memory killer finds better victims inside than outside, and nobody inside changes that; daemon and launcher leave no core", async () => {
  const { supervisor, process } = await guest.get("GET", "/sandboxes/main");
  const [daemon, launcher] = [await daemonPid(), Number(await unitShow("unshared-launcher.service", "MainPID"))];
  const pids = [daemon, launcher, supervisor.pid, process.pid];
  expect(await guest.run(`for p in ${pids.join(" ")}; do cat /proc/$p/oom_score_adj; done`)).toBe("-900\n-900\n-900\n500");
  const lowered = await bash("main", "echo 499 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj");
  expect([lowered.output.stdout.data, lowered.output.stderr.data]).toEqual(["500\n", expect.stringContaining("Permission denied")]);
  const core = await guest.run(`for p in ${pids.join(" ")}; do sed -n 's/^Max core file size *//p' /proc/$p/limits; done`);
  expect(core.split("\n").map((line) => line.split(/ +/).slice(0, 2))).toEqual(pids.map(() => ["1", "1"]));
});

test("a command runs in it; no more processes than its limit; more CPU than its share is not given", async () => {
  const { exit, output, ...process } = await bash(
    "main",
    "hostname; for ((i = 0; i < 3000; i++)); do :; done; for i in {1..60}; do sleep 300 & done",
  );
  expect(process.pid).toBeNull();
  expect(output.stdout.data).toBe("main\n");
  expect(output.stderr.data).toMatch(/fork/);
  expect(exit.reason).toBe("exited");
  const files = await cgroupFiles(main.process.pid, "pids.current", "pids.events", "cpu.stat");
  const { usage } = await guest.get("GET", "/sandboxes/main/stats");
  const refused = Number(files["pids.events"]?.split(" ")[1]);
  expect(usage.pids).toEqual({ limit: 40, current: Number(files["pids.current"]), refused });
  expect(usage.pids.current).toBeGreaterThan(30);
  expect(usage.pids.refused).toBeGreaterThan(0);
  expect(usage.cpu.usageSeconds).toBeGreaterThan(0);
  expect(usage.throttling.throttledPeriods).toBeGreaterThan(0);
});

test("what a command makes its parent's children is reaped; a command for which the limit leaves no process is told so", async () => {
  const { id, process, supervisor } = await launch({ name: "full", limits: { pids: 12 } });
  await guest.upload("full", "siblings");
  const siblings = await guest.get("POST", "/sandboxes/full/processes", { command: ["/probes/siblings", "5"] });
  const output = `curl -sS --unix-socket /run/unshared/unshared.sock http://localhost/v1/sandboxes/full/processes/${siblings.id}/output`;
  await guest.until(`${output} | grep -q 'siblings 5: ok'`);
  const children = `for p in $(cat /proc/${supervisor.pid}/task/*/children); do sed 's/.*) //' /proc/$p/stat; done`;
  await guest.until(`! ${children} | grep -q ^Z`);
  expect((await cgroupFiles(process.pid, "pids.current"))["pids.current"]).toBe("3");

  const sleeping = () => guest.ask("POST", "/sandboxes/full/processes", { command: ["/bin/sleep", "300"] });
  let answer = await sleeping();
  for (let more = 0; more < 12 && answer.status === 201; more++) answer = await sleeping();
  expect([answer.status, answer.body.code, answer.body.errno]).toEqual([409, "process-limit", 11]);
  await guest.get("DELETE", `/sandboxes/${id}`);
});

test("the probes of the isolation battery find nothing open on this kernel", async () => {
  const found = await askAll(guest);
  expect([...found].flatMap(([{ number, most }, open]) => open.slice(most ?? 0).map((name) => `${number} ${name}`))).toEqual([]);
});

test("PATCH changes the limits of the running sandbox", async () => {
  await guest.get("PATCH", "/sandboxes/main", { limits: { memoryBytes: 134_217_728, cpus: 2, cpuWeight: 100, pids: 200 } });
  const files = ["memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"];
  expect(Object.values(await cgroupFiles(main.process.pid, ...files))).toEqual(["134217728", "0", "200000 100000", "100", "200"]);
});

test("its stats count what it writes to the disk", async () => {
  expect((await bash("main", "dd if=/dev/zero of=/big bs=1M count=8 conv=fsync status=none")).exit.code).toBe(0);
  const { usage } = await guest.get("GET", "/sandboxes/main/stats");
  expect(usage.io.writtenBytes).toBeGreaterThanOrEqual(8 << 20);
  const stat = (await cgroupFiles(main.process.pid, "io.stat"))["io.stat"] ?? "";
  expect(usage.io.writtenBytes).toBe([...stat.matchAll(/wbytes=(\d+)/g)].reduce((sum, [, bytes]) => sum + Number(bytes), 0));
  for (const kind of ["cpu", "memory", "io"]) expect(usage.pressure[kind].totalSeconds, kind).toBeGreaterThanOrEqual(0);
});

test("pause freezes it, resume thaws it, a paused one can be deleted", async () => {
  expect((await guest.get("POST", "/sandboxes/main/pause")).status.state).toBe("paused");
  expect((await cgroupFiles(main.process.pid, "cgroup.events"))["cgroup.events"]).toContain("frozen 1");
  expect((await guest.get("POST", "/sandboxes/main/resume")).status.state).toBe("running");
  expect((await cgroupFiles(main.process.pid, "cgroup.events"))["cgroup.events"]).toContain("frozen 0");

  const { process } = await launch({ name: "paused" });
  await guest.get("POST", "/sandboxes/paused/pause");
  const receipt = await guest.get("DELETE", "/sandboxes/paused");
  expect(receipt).toMatchObject({ complete: true, remaining: [], cgroups: 1 });
  expect(await guest.run(`test ! -e /proc/${process.pid} && echo gone`)).toBe("gone");
});

test("what the memory limit ends is told as out-of-memory, a command and a sandbox", async () => {
  expect((await bash("main", hungry)).exit).toMatchObject({ reason: "out-of-memory", signal: "SIGKILL" });
  expect((await cgroupFiles(main.process.pid, "memory.events"))["memory.events"]).toMatch(/oom_kill 1\b/);
  await lives(main);
  await launch({ name: "hungry", command: ["/bin/bash", "-c", hungry], limits: { memoryBytes: 33_554_432 } });
  await guest.until(
    `curl -sS --unix-socket /run/unshared/unshared.sock http://localhost/v1/sandboxes/hungry | grep -q '"state":"stopped"'`,
  );
  expect((await guest.get("GET", "/sandboxes/hungry")).status.reason).toBe("out-of-memory");
});

test("a limit of disk space holds, on a loop device that goes with the sandbox", async () => {
  await launch({ name: "disk", limits: { diskBytes: 33_554_432 } });
  const { exit, output } = await bash("disk", "dd if=/dev/zero of=/big bs=1M count=64");
  expect([exit.code, output.stderr.data]).toEqual([1, expect.stringContaining("No space left on device")]);
  expect(await guest.run("losetup --list --noheadings | wc -l")).toBe("1");
  await guest.get("DELETE", "/sandboxes/disk");
  await guest.until("[[ -z $(losetup --list --noheadings) ]]");
});

test("stop and delete leave nothing: the receipt says so, and it is so", async () => {
  const { process } = await launch({ name: "short" });
  const cgroup = await guest.run(`sed -n 's/^0:://p' /proc/${process.pid}/cgroup`);
  expect((await guest.get("POST", "/sandboxes/short/stop", { graceSeconds: 5 })).status.reason).toBe("stopped-by-user");
  const receipt = await guest.get("GET", "/sandboxes/short/receipt");
  expect(receipt).toMatchObject({ complete: true, remaining: [], cgroups: 1 });
  expect(receipt.processes).toBeGreaterThan(0);
  await guest.get("DELETE", "/sandboxes/short");
  const left = await guest.run(
    `ls -d /proc/${process.pid} /sys/fs/cgroup${cgroup} /var/lib/unshared/sandboxes/${receipt.id} 2>/dev/null || :`,
  );
  expect(left).toBe("");
});

test("systemctl daemon-reload takes no controller away", async () => {
  await guest.run("systemctl daemon-reload");
  expect((await guest.run("cat /sys/fs/cgroup/unshared/cgroup.subtree_control")).split(" ").sort()).toEqual([
    "cpu",
    "io",
    "memory",
    "pids",
  ]);
  expect(await cgroupFiles(main.process.pid, "memory.max")).toEqual({ "memory.max": "134217728" });
});

test("systemctl restart unshared refuses no request and loses no sandbox", async () => {
  const before = await daemonPid();
  const asking = `while [[ ! -e /tmp/over ]]; do
      curl -sS -m 600 -o /dev/null -w '%{http_code}\\n' --unix-socket /run/unshared/unshared.sock http://localhost/v1/sandboxes/main 2>&1; sleep 0.1
    done`;
  await guest.run(`(${asking}) >/tmp/answers & (${asking}) >/tmp/answers-too & systemctl restart unshared; touch /tmp/over; wait`, 600_000);
  expect(await daemonPid()).not.toBe(before);
  expect(await guest.run("sort -u /tmp/answers /tmp/answers-too")).toBe("200");
  await lives(main);
});

test("systemctl restart unshared-launcher: sandboxes run on, and the next launch is the new one's", async () => {
  const before = Number(await unitShow("unshared-launcher.service", "MainPID"));
  await guest.run("systemctl restart unshared-launcher");
  const report = await launch({ name: "after", autostart: true });
  expect(report.status.state).toBe("running");
  const launcher = Number(await unitShow("unshared-launcher.service", "MainPID"));
  expect(launcher).not.toBe(before);
  expect((await guest.get("GET", "/info")).launcher.pid).toBe(launcher);
  expect(await guest.run(`ps -o ppid= -p ${report.supervisor.pid} | tr -d ' '`)).toBe(String(launcher));
  expect((await bash("main", "echo still here")).output.stdout.data).toBe("still here\n");
  await lives(main);
});

test("a daemon that is stuck is found out by the watchdog and started again", async () => {
  const before = await daemonPid();
  const restarts = Number(await unitShow("unshared.service", "NRestarts")) + 1;
  await guest.run(`kill -STOP ${before}`);
  await guest.until(
    `[[ $(systemctl show unshared -p SubState --value) == stop-watchdog || ${restarts} == $(systemctl show unshared -p NRestarts --value) ]]`,
  );
  await guest.run(`kill -CONT ${before} || :`); // it has SIGABRT to take
  await guest.until(`[[ $(systemctl show unshared -p NRestarts,SubState --value | sort | xargs) == '${restarts} running' ]]`, 600_000);
  await guest.run("journalctl -u unshared --no-pager -o cat | grep 'Watchdog timeout'");
  expect(await daemonPid()).not.toBe(before);
  await lives(main);
});

test("an upgrade of the package replaces daemon and launcher under running sandboxes", async () => {
  const before = [await daemonPid(), Number(await unitShow("unshared-launcher.service", "MainPID"))];
  await guest.run("dpkg --force-unsafe-io --install /mnt/new.deb </dev/null", 1_500_000);
  expect(await guest.run("dpkg-query -W -f '${Version} ${Status}' unshared")).toMatch(/\.1 install ok installed$/);
  expect(await guest.run(`systemctl is-active ${units}`)).toBe("active\nactive\nactive");
  const after = [await daemonPid(), Number(await unitShow("unshared-launcher.service", "MainPID"))];
  expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  await lives(main);
  expect((await bash("main", "echo still here")).output.stdout.data).toBe("still here\n");
});

test("after a reboot of the host what ran is host-rebooted, and what is to start by itself runs", async () => {
  const { bootId } = guest;
  await guest.reboot();
  expect(guest.bootId).not.toBe(bootId);
  await guest.until(`[[ $(systemctl is-active ${units} | xargs) == 'active active active' ]]`, 600_000);
  const stopped = await guest.get("GET", "/sandboxes/main");
  expect([stopped.status.reason, stopped.process]).toEqual(["host-rebooted", null]);
  await guest.until(`curl -sS --unix-socket /run/unshared/unshared.sock http://localhost/v1/sandboxes/after | grep -q '"state":"running"'`);
  const after = await guest.get("GET", "/sandboxes/after");
  expect(after.bootId).toBe(guest.bootId);
  await lives(after);
  expect((await guest.get("GET", "/info")).recovery.problems).toEqual([]);
});

test("where the filesystem keeps project quotas, one of them bounds the sandbox's files", async () => {
  const mountPoint = "/var/lib/unshared/sandboxes";
  const image = "/var/tmp/quota.img";
  const made = `truncate -s 256M ${image} && mkfs.ext4 -q -O project,quota ${image} && mount -o loop,prjquota ${image} ${mountPoint} && chmod 700 ${mountPoint}`;
  await guest.get("DELETE", "/sandboxes/after");
  await guest.run(`systemctl stop unshared unshared-launcher && ${made} && systemctl start unshared`, 600_000);
  try {
    const { id } = await launch({ name: "quota", limits: { diskBytes: 33_554_432 } });
    const full = await bash("quota", "dd if=/dev/zero of=/big bs=1M count=64");
    expect([full.exit.code, full.output.stderr.data]).toEqual([1, expect.stringContaining("Disk quota exceeded")]);
    expect(await guest.run(`stat -c %s ${mountPoint}/${id}/upper/big`)).toBe(full.output.stderr.data.match(/(\d+) bytes/)?.[1]);
    const { disk } = (await guest.get("GET", "/sandboxes/quota/stats")).usage;
    expect(disk).toMatchObject({ mechanism: "quota", limitBytes: 33_554_432 });
    expect(disk.usedBytes).toBeGreaterThan(33_554_432 - 8_192);
    expect(disk.usedBytes + disk.availableBytes).toBe(33_554_432);
    await guest.get("PATCH", "/sandboxes/quota", { limits: { diskBytes: 16_777_216 } });
    // More is there than may be: it starts, and what is too much can be removed.
    await guest.get("POST", "/sandboxes/quota/restart", { graceSeconds: 0 });
    expect((await bash("quota", "echo >/small; rm /big && dd if=/dev/zero of=/big bs=1M count=12 status=none")).exit.code).toBe(0);
    expect((await bash("quota", "dd if=/dev/zero of=/more bs=1M count=12")).output.stderr.data).toMatch("Disk quota exceeded");
    const project = (await guest.run(`lsattr -dp ${mountPoint}/${id}/upper ${mountPoint}/${id}/work | awk '{print $1}'`)).split("\n");
    expect(Number(project[0])).toBeGreaterThanOrEqual(2 ** 30);
    expect(project[1]).toBe(project[0]);
    expect(await guest.run("losetup --list --noheadings | wc -l")).toBe("1"); // of this test alone
    await guest.get("DELETE", "/sandboxes/quota");
  } finally {
    await guest.run(`systemctl stop unshared unshared-launcher; umount ${mountPoint} && rm ${image}; systemctl start unshared`, 600_000);
  }
});

test("remove stops every sandbox in order, and leaves the data and no process", async () => {
  const { process } = await guest.get("POST", "/sandboxes/main/start");
  await guest.run("dpkg --remove unshared </dev/null", 600_000);
  expect(await guest.run(`test ! -e /proc/${process.pid} && echo gone`)).toBe("gone");
  expect(await guest.run("grep -la '[u]nshared' /proc/[0-9]*/cmdline 2>/dev/null || :")).toBe("");
  const left =
    "ls -d /run/unshared /sys/fs/cgroup/unshared /usr/lib/unshared /lib/systemd/system/unshared* /var/lib/unshared/state.db 2>/dev/null || :";
  expect(await guest.run(left)).toBe("/var/lib/unshared/state.db");
  expect(await guest.run("ls /etc/default/unshared")).toBe("/etc/default/unshared");
});

test("purge takes data, settings and group", async () => {
  await guest.run("dpkg --purge unshared </dev/null");
  expect(
    await guest.run("ls -d /var/lib/unshared /var/cache/unshared /etc/default/unshared /etc/systemd/system/*/unshared* 2>/dev/null || :"),
  ).toBe("");
  expect(await guest.run("getent group unshared || :")).toBe("");
  expect(await guest.run("systemctl list-unit-files 'unshared*' --no-legend; systemctl list-units 'unshared*' --all --no-legend")).toBe("");
});
