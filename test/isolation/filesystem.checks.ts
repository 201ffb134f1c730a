import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { filesUrl, sendBytes } from "../fixtures/files-client.ts";
import { hostMounts } from "../fixtures/fingerprint.ts";
import { until } from "../fixtures/processes.ts";
import type { Check } from "./check.ts";
import { hostileTrees, withHostileTree } from "./hostile-trees.ts";
import { expectedMounts, mountsOf } from "./mount-list.ts";
import { canary, probePath, type Stage, ways } from "./stage.ts";
import { systemGolden } from "./system-golden.ts";
import { treeDigest } from "./tree-digest.ts";

const nsenter = (pid: number, ...args: string[]) => spawnSync("nsenter", ["--target", String(pid), ...args], { encoding: "utf8" });

/** Set-user-ID, with file capabilities of version 2 and 3, as an image, an upload and the sandbox itself bring them in. */
const plantPrivileged = async (stage: Stage): Promise<string[]> => {
  const image = join(stage.rootTree(), "probes");
  for (const version of ["2", "3"]) {
    const path = join(image, `privileged-${version}`);
    copyFileSync(probePath("identity"), path);
    chmodSync(path, 0o755);
    const { status } = spawnSync(probePath("identity"), ["give", path, "6755", version]);
    expect([status, lstatSync(path).mode & 0o7777]).toEqual([0, 0o6755]);
  }
  const upload = filesUrl(stage.box.id, "/uploaded", "&mode=6755");
  const reply = await sendBytes(stage.host, "PUT", upload, readFileSync(probePath("identity")));
  if (reply.status >= 300) {
    const { status } = await sendBytes(
      stage.host,
      "PUT",
      filesUrl(stage.box.id, "/uploaded", "&mode=0755"),
      readFileSync(probePath("identity")),
    );
    expect(status).toBeLessThan(300);
  }
  await stage.output("exec", ["/bin/bash", "-c", "cp /probes/identity /made && chmod 6755 /made"]);
  return ["/probes/privileged-2", "/probes/privileged-3", "/uploaded", "/made"];
};

export const filesystemChecks: Check[] = [
  {
    number: 1,
    slow: true,
    title:
      "a word that is in the daemon's environment, the host's files, the database, another sandbox's files, environment and arguments is nowhere to be read",
    red: ["no-pid"],
    async run(stage) {
      const file = join(tmpdir(), `${canary}-name`);
      writeFileSync(file, `${canary}-file`, { mode: 0o644 });
      // No process ends while the probe walks through /proc: nftw(3) gives up where a directory is gone.
      const command = ["/bin/bash", "-c", "echo $CANARY > /secret; echo written; sleep infinity; :", `${canary}-argument`];
      await stage.sandbox({ name: "secret", command, env: { CANARY: `${canary}-variable` }, labels: { canary: `${canary}-label` } });
      try {
        await until("the secret", async () => (await stage.logOf("secret")).includes("written"), 20_000);
        let looked = "";
        const backwards = [...canary].reverse().join("");
        for (const way of ways) {
          const found = await stage.probe(way, "canary", backwards);
          looked = found["looked"] ?? "";
          expect({ ...found, looked: "" }, way).toEqual({ looked: "" });
          expect(Number(looked)).toBeGreaterThan(500);
        }
        expect((await stage.output("exec", ["/probes/canary", backwards], "secret")).split("\n")).toContain("/secret: found");
        return `${looked} files`;
      } finally {
        await stage.host.request("DELETE", "/v1/sandboxes/secret");
        rmSync(file);
      }
    },
  },
  {
    number: 2,
    title: "mountinfo is a known list, nosuid and nodev, private; a mount of the host does not come in",
    red: ["no-masks", "cgroup-writable", "suid-mounts"],
    async run(stage) {
      const before = hostMounts(stage.host.daemon.directory);
      const mounts = mountsOf(stage.box.process.pid);
      expect(mounts).toEqual(expectedMounts());
      expect(mounts).toEqual(systemGolden("mounts") ?? mounts);
      const tree = join(stage.rootTree(), "probes");
      expect(spawnSync("mount", ["-t", "tmpfs", "none", tree]).status).toBe(0);
      try {
        expect(mountsOf(stage.box.process.pid)).toEqual(mounts);
        expect(await stage.output("exec", ["/bin/ls", "/probes"])).toContain("identity\n");
      } finally {
        expect(spawnSync("umount", [tree]).status).toBe(0);
      }
      expect(hostMounts(stage.host.daemon.directory)).toEqual(before);
      return `${mounts.length} mounts`;
    },
  },
  {
    number: 3,
    title: "chroot is refused, and the root is the mount namespace's own: whoever enters that alone is in it",
    red: ["no-pivot", "caps-kept"],
    async run(stage) {
      const { pid } = stage.box.process;
      const root = nsenter(pid, "--mount", "--root", "/bin/stat", "-c", "%d:%i", "/").stdout;
      expect(root).toMatch(/^\d+:\d+\n$/);
      expect(nsenter(pid, "--mount", "/bin/stat", "-c", "%d:%i", "/").stdout).toBe(root);
      await stage.everywhere(["filesystem", "chroot"], (found, way) =>
        expect(found, way).toEqual({ chroot: "EPERM", fchdir: "ok", "chroot to the top": "EPERM", "the top": "its own root" }),
      );
    },
  },
  {
    number: 4,
    title: "no file is opened by its handle, neither its own nor inode 2",
    red: ["caps-kept+no-seccomp+no-user"],
    async run(stage) {
      await stage.everywhere(["filesystem", "handles"], (found, way) =>
        expect(found, way).toEqual({
          name_to_handle_at: "ok",
          "open_by_handle_at of its own file": "EPERM",
          "open_by_handle_at of inode 2": "EPERM",
        }),
      );
    },
  },
  {
    number: 5,
    title: "no mount is taken off, made writable, covered or made, by the old interface or the new",
    red: ["caps-kept+no-seccomp"],
    async run(stage) {
      const paths = expectedMounts().map((line) => line.split(" ")[0] ?? "");
      const before = mountsOf(stage.box.process.pid);
      let attempts = 0;
      await stage.everywhere(["filesystem", "mounts", ...paths], (found, way) => {
        for (const [attempt, outcome] of Object.entries(found)) expect(`${way}: ${attempt}: ${outcome}`).toBe(`${way}: ${attempt}: EPERM`);
        attempts += Object.keys(found).length;
      });
      expect(mountsOf(stage.box.process.pid)).toEqual(before);
      return `${attempts} attempts`;
    },
  },
  {
    number: 6,
    title: "set-user-ID, set-group-ID and file capabilities of an image, an upload or its own change nothing",
    red: ["no-nnp+suid-mounts"],
    async run(stage) {
      const files = await plantPrivileged(stage);
      for (const file of files)
        for (const tty of [false, true]) {
          const body = { command: [file], user: { uid: 1000, gid: 1000 }, tty };
          const { status, text, body: found } = await stage.host.request("POST", "/v1/sandboxes/box/processes?wait=300", body);
          expect(status, text).toBeLessThan(300);
          expect(found.output.stdout.data.replaceAll("\r", ""), `${file} ${tty}`).toBe(
            "ids: 1000 1000 1000, 1000 1000 1000\ncapabilities: 0 0\n",
          );
        }
      return `${files.length} files`;
    },
  },
  {
    number: 7,
    title: "the shared root is the same whatever is written inside, and another sandbox sees nothing of it",
    red: ["no-overlay"],
    async run(stage) {
      // Files of its own, so that the root is whole again afterwards also where the check is red.
      const [victim, spare, made] = ["victim", "spare", "made"].map((name) => join(stage.rootTree(), name)) as [string, string, string];
      for (const path of [victim, spare]) writeFileSync(path, "of the root\n".repeat(1000));
      const before = treeDigest(stage.rootTree());
      await stage.sandbox({ name: "other" });
      try {
        const script = "/probes/pages /victim; echo x >> /victim; rm /spare; chmod 777 /probes; echo x > /made; true";
        for (const way of ways) await stage.output(way, ["/bin/bash", "-c", script]);
        expect(treeDigest(stage.rootTree())).toBe(before);
        expect(await stage.output("exec", ["/bin/bash", "-c", "ls /spare /made 2>&1; cat /victim | tail -n 1"], "other")).toBe(
          "ls: cannot access '/made': No such file or directory\n/spare\nof the root\n",
        );
      } finally {
        for (const path of [victim, spare, made]) rmSync(path, { force: true });
        chmodSync(join(stage.rootTree(), "probes"), 0o755);
        await stage.host.request("DELETE", "/v1/sandboxes/other");
      }
    },
  },
  {
    number: 8,
    slow: true,
    title: "roots with links, files and fifos where mounts go: refused, or mounted inside; the host's files are whole",
    red: ["follow-links"],
    async run(stage) {
      let refused = 0;
      for (const tree of hostileTrees)
        await withHostileTree(stage, tree, async (status, body) => {
          if (tree.starts) expect([tree.name, status, body.status?.state]).toEqual([tree.name, 201, "running"]);
          else {
            expect([tree.name, status, body.code]).toEqual([tree.name, 422, "root-unusable"]);
            refused += 1;
          }
        });
      return `${hostileTrees.length} trees, ${refused} refused`;
    },
  },
  {
    number: 9,
    title: "a working directory through a descriptor, another process, a link or a directory that is not to be entered is refused",
    red: ["follow-links"],
    async run(stage) {
      await stage.output("exec", ["/bin/bash", "-c", "mkdir -p -m 700 /closed; ln -sfn / /link; true"]);
      const numbers = Array.from({ length: 41 }, (_, fd) => `/proc/self/fd/${fd}`);
      const refused = [
        ...numbers,
        "/proc/1/root",
        "/proc/1/cwd",
        "/proc/self/cwd",
        "/proc/self/root",
        "/proc/thread-self/cwd",
        "/link",
        "/link/tmp",
        "relative",
      ];
      for (const cwd of refused)
        for (const tty of [false, true]) {
          const { status, text } = await stage.host.request("POST", "/v1/sandboxes/box/processes?wait=300", {
            command: ["/bin/true"],
            cwd,
            tty,
          });
          expect(`${cwd} ${status} ${text}`).toMatch(/ 422 .*"\/cwd"/);
        }
      for (const cwd of ["/proc/self/fd/9", "/proc/1/root", "/link"]) {
        const { status, body } = await stage.host.request("POST", "/v1/runs?wait=300", { root: "probes", command: ["/bin/true"], cwd });
        expect([cwd, status === 422 || body.state === "failed"]).toEqual([cwd, true]);
      }
      const foreign = { command: ["/bin/true"], cwd: "/closed", user: { uid: 1000, gid: 1000 } };
      expect((await stage.host.request("POST", "/v1/sandboxes/box/processes", foreign)).status).toBe(422);
      return `${refused.length} paths`;
    },
  },
  {
    number: 10,
    slow: true,
    title: "a deep, large, closed and ill-named tree full of links to the host is deleted while it changes; the host's files are whole",
    red: ["removal-follows"],
    async run(stage) {
      const [depth, files] = stage.isLong ? [20_000, 1_000_000] : [1_000, 2_000];
      const sentinel = mkdtempSync(join(tmpdir(), "unshared-sentinel-"));
      mkdirSync(join(sentinel, "inside"));
      for (const path of ["file", "inside/file", "d", "many"]) writeFileSync(join(sentinel, path), "of the host\n");
      const before = treeDigest(sentinel);
      try {
        const report = await stage.sandbox({ name: "tangle", command: ["/probes/tangle", `${depth}`, `${files}`, sentinel] });
        await until("the tangle", async () => (await stage.logOf("tangle")).includes("ready: yes"), stage.isLong ? 900_000 : 25_000);
        const directory = join(stage.host.daemon.stateDir, "sandboxes", report.id);
        expect(existsSync(join(directory, "upper/tangle/nest/d/d/d"))).toBe(true);
        const began = performance.now();
        const { status, body } = await stage.host.request("DELETE", "/v1/sandboxes/tangle");
        const seconds = (performance.now() - began) / 1000;
        expect([status, body.complete]).toEqual([200, true]);
        expect(existsSync(directory)).toBe(false);
        expect(treeDigest(sentinel)).toBe(before);
        return `${depth} deep, ${files} files, ${seconds.toFixed(1)} s`;
      } finally {
        await stage.host.request("DELETE", "/v1/sandboxes/tangle");
        rmSync(sentinel, { recursive: true });
      }
    },
  },
];
