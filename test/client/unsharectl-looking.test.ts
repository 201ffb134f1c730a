/** unsharectl as a program would call it: what it shows, how it fails, and its help. */
import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { inodesOf, until } from "../fixtures/processes.ts";
import { CommandLine, type Result, unsharectl } from "../fixtures/unsharectl.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });
let cli: CommandLine;
beforeAll(async () => {
  cli = await CommandLine.start("unsharectl-look", 1_970_000_000);
});
afterAll(() => cli[Symbol.asyncDispose]());

const u = (...args: string[]): Promise<Result> => cli.call(args);

describe("looking", () => {
  it("finds namespaces by sandbox, inode and pid", async () => {
    const { pid } = (await cli.host.report("box")).process;
    const inodes = inodesOf(pid);
    const own = await cli.json("ns", "box");
    expect(Object.fromEntries(Object.entries<{ inode: number }>(own).map(([type, { inode }]) => [type, inode]))).toEqual(inodes);
    expect((await u("ns", "--inode", `${inodes["uts"]}`)).stdout).toMatch(new RegExp(`^uts +${inodes["uts"]} +- +box$`, "m"));
    expect((await u("ns", "--pid", `${pid}`)).stdout).toMatch(new RegExp(`^pid ${pid}: main of box, pid 2 inside\n`));
    expect((await u("ns", "--pid", "4194304")).code).toBe(1);
  });

  it("draws, tells events and usage", async () => {
    expect((await u("diagram", "box")).stdout).toMatch(/^<svg /);
    expect((await u("diagram", "--format", "mermaid")).stdout).toMatch(/^flowchart /);
    expect((await cli.json("diagram", "box")).sandboxes[0].name).toBe("box");
    expect((await u("events", "-s", "box")).stdout).toMatch(/sandbox\.running +box/);
    expect((await u("stats", "--no-stream")).stdout).toMatch(/^box +running/m);
    expect((await u("doctor")).stdout).toMatch(/^ok +kernel: /m);
  });

  it("shows what a sandbox names itself without letting it act", async () => {
    await cli.host.request("POST", "/v1/sandboxes/box/processes", {
      command: ["/bin/bash", "-c", "exec -a $'\\e]0;owned\\a\\xe2\\x80\\xae' sleep 1000"],
    });
    const shown = await until(
      "the name",
      async () => {
        const { stdout } = await u("ps", "box");
        return stdout.includes("owned") && stdout;
      },
      25_000,
    );
    expect(shown).toContain("\\x1b]0;owned\\x07\\u{202e} 1000");
    expect(shown.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

describe("roots and tokens", () => {
  it("are made, listed and removed", async () => {
    expect((await u("roots", "create", "tiny", "-b", "/bin/bash", "--file", "/etc/hostname:/etc/name")).stdout).toMatch(
      /^tiny: \d+ files, /,
    );
    expect((await u("roots", "show", "tiny", "--manifest")).stdout).toMatch(/\/etc\/name +asked-for/);
    expect((await u("roots", "ls")).stdout).toMatch(/^tiny +ready +copy/m);
    expect((await u("roots", "rm", "tiny")).stdout).toBe("tiny\n");
    expect((await u("roots", "create", "bad", "-b", "/nonexistent")).code).toBe(1);
    const secret = (await u("token", "create", "ci", "-s", "read", "--ttl", "1d")).stdout.trim();
    expect(secret).toMatch(/^\S{20,}$/);
    expect((await u("token", "ls")).stdout).toMatch(/^ci +read +/m);
    expect((await u("token", "revoke", "ci")).code).toBe(0);
  });
});

describe("failures", () => {
  it("say what is wrong and what to do, and have codes of their own", async () => {
    const missing = await u("show", "nobody");
    expect([missing.code, missing.stdout]).toEqual([1, ""]);
    expect(missing.stderr).toContain("sandbox-not-found");
    expect(missing.stderr).toContain("unsharectl ls shows all sandboxes");
    expect(JSON.parse((await u("--json", "show", "nobody")).stderr)).toMatchObject({ code: "sandbox-not-found", status: 404 });
    expect((await u("create", "-n", "NO")).stderr).toContain("/name");
    const away = ["--socket", join(cli.folder, "none.sock")];
    expect((await u(...away, "ls")).code).toBe(3);
    expect((await u(...away, "exec", "box", "ls")).code).toBe(125);
    for (const wrong of [["bogus"], ["ls", "--bogus"], ["show"], ["create", "-m", "much"], ["exec", "-t", "box", "bash"]])
      expect((await u(...wrong)).code, wrong.join(" ")).toBe(2);
  });
});

describe("help", () => {
  it("names every command, with examples", async () => {
    const { code, stdout } = await u("--help");
    expect(code).toBe(0);
    const commands =
      "create run exec attach ls show start stop restart kill pause resume rm logs events ps ns diagram stats cp roots token doctor completion man";
    for (const name of commands.split(" ")) expect(stdout, name).toMatch(new RegExp(`^  ${name} `, "m"));
    expect(stdout).toContain("Examples:");
  });

  it("is a man page that groff takes without a complaint", async () => {
    const page = (await u("man")).stdout;
    const child = spawn("groff", ["-man", "-Tutf8", "-ww", "-z"]);
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    child.stdin.end(page);
    expect(await new Promise((done) => child.once("close", done))).toBe(0);
    expect(said).toBe("");
    for (const word of ["exec [OPTIONS] SANDBOX COMMAND...", "EXIT STATUS", "roots create"])
      expect(page.replaceAll("\\-", "-")).toContain(word);
  });

  it("completes commands, options and names of sandboxes in bash", async () => {
    const folderOfCommand = join(cli.folder, "bin");
    execFileSync("mkdir", ["-p", folderOfCommand]);
    writeFileSync(join(folderOfCommand, "unsharectl"), `#!/bin/sh\nexec ${process.execPath} ${unsharectl} "$@"\n`, { mode: 0o755 });
    const asked = [["doc"], ["roots", "cr"], ["exec", "bo"], ["logs", "--fol"]];
    const complete = asked.map(
      (words) => `COMP_WORDS=(unsharectl ${words.join(" ")}); COMP_CWORD=${words.length}; _unsharectl; echo "\${COMPREPLY[*]}"`,
    );
    const script = ["source <(unsharectl completion bash)", ...complete].join("\n");
    const env = { PATH: `${folderOfCommand}:${process.env["PATH"]}`, UNSHARED_SOCKET: cli.host.daemon.socket };
    expect(execFileSync("bash", ["--norc", "-c", script], { encoding: "utf8", env })).toBe("doctor\ncreate\nbox\n--follow\n");
  });

  it.each(["zsh", "fish"])("has words for %s", async (shell) => {
    expect((await u("completion", shell)).stdout).toMatch(/unsharectl.*\n[\s\S]*doctor/);
  });
});
