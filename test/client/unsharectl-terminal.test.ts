/** unsharectl in a real terminal. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { allPids, commandLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { Tmux } from "../fixtures/tmux.ts";

const main = resolve(import.meta.dirname, "../../client/unsharectl/main.mjs");

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });
let host: SandboxDaemon;
let folder: string;
let terminal: Tmux;
beforeAll(async () => {
  host = await SandboxDaemon.start("unsharectl-tty", 1_965_000_000);
  folder = mkdtempSync(join(tmpdir(), "unshared-terminal-"));
  await host.run({ name: "box" });
});
afterAll(async () => {
  await host[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  terminal = Tmux.start({ UNSHARED_SOCKET: host.daemon.socket, XDG_CACHE_HOME: folder });
  terminal.line(`u() { ${process.execPath} ${main} "$@"; }; clear; stty -g > ${folder}/before; echo be''gun`);
  await terminal.shows(/begun/);
});
afterEach(() => terminal[Symbol.dispose]());

/** Whether the terminal is as it was: its settings, no other screen, and an echo of what is typed. */
const isRestored = async () => {
  terminal.line(`stty -g | cmp - ${folder}/before && echo as it ''was`);
  await terminal.shows(/as it was/);
};
/** The unsharectl that is in a sandbox of that name, which no other test uses. */
const pidIn = (name: string): number =>
  allPids().find((pid) => commandLine(pid).includes(main) && commandLine(pid).includes(name)) ?? expect.fail(name);

/** That of the bash inside; the one outside has another. */
const prompt = /bash-[\d.]+# $/m;

describe("exec -it", () => {
  it("is a terminal of the same size, also when that changes, and its exit code is passed on", async () => {
    terminal.line("u exec -it box bash; echo code=$?");
    await terminal.shows(prompt);
    terminal.line("tty; stty size; echo $TERM; echo in''side");
    await terminal.shows(/\/dev\/pts\/\d+\n30 100\nscreen-256color\ninside/);
    terminal.resize(90, 25);
    terminal.line("clear; stty size; echo aga''in");
    await terminal.shows(/25 90\nagain/);
    // Ctrl-C is the program's, not that of unsharectl.
    terminal.line("sleep 1000");
    terminal.press("C-c");
    terminal.line("exit 6");
    await terminal.shows(/code=6/);
    await isRestored();
  });

  it("gives the terminal back when unsharectl is ended in a program that fills the screen", async () => {
    await host.run({ name: "box-full" });
    terminal.line(`u exec -it box-full bash -c 'printf "\\e[?1049h\\e[?25l\\e[31mfu""ll"; exec sleep 1000'; echo code=$?`);
    await terminal.shows(/full/);
    process.kill(pidIn("box-full"), "SIGTERM");
    await terminal.shows(/code=143/);
    await isRestored();
  });

  it("gives it back when the sandbox is deleted", async () => {
    await host.run({ name: "box-brief" });
    terminal.line("u exec -it box-brief bash; echo code=$?");
    await terminal.shows(prompt);
    await host.request("DELETE", "/v1/sandboxes/box-brief");
    await terminal.shows(/code=(137|125)/);
    await isRestored();
  });

  it("leaves by Ctrl-], and the process goes on, to be attached to again", async () => {
    terminal.line("u exec -it box bash; echo code=$?");
    await terminal.shows(prompt);
    terminal.line("X=kept; echo st''ill");
    await terminal.shows(/still/);
    terminal.press("C-]");
    await terminal.shows(/the process goes on\s+code=0/);
    await isRestored();
    const { items } = (await host.request("GET", "/v1/sandboxes/box/processes?state=running")).body;
    const { id } = items.findLast((each: { tty: boolean }) => each.tty);
    terminal.line(`clear; u attach box ${id}; echo code=$?`);
    await terminal.shows(/still/);
    terminal.line("echo $X; exit 3");
    await terminal.shows(/kept\n[\s\S]*code=3/);
  });

  it("comes back when the daemon is started anew", async () => {
    terminal.line("u exec -it box bash; echo code=$?");
    await terminal.shows(prompt);
    await host.daemon.end("SIGKILL");
    await terminal.shows(/connection was lost/);
    await host.daemon.start();
    await terminal.shows(/connected again/);
    terminal.line("echo $((6 * 7)); exit 4");
    await terminal.shows(/42[\s\S]*code=4/);
    await isRestored();
  });
});

describe("output of a sandbox on a terminal", () => {
  const evil = `printf '\\e]0;owned\\a\\e[2Jx\\ty\\n'`;
  it("is shown, and does not act, unless that is asked for", async () => {
    terminal.line(`u exec box bash -c ${JSON.stringify(evil)}; echo code=$?`);
    await terminal.shows(/\\x1b\]0;owned\\x07\\x1b\[2Jx +y\n.*code=0/);
    terminal.line(`clear; u exec --raw box bash -c ${JSON.stringify(evil)}; echo code=$?`);
    await terminal.shows(/^x +y\ncode=0/m);
    expect(terminal.screen()).not.toContain("owned");
  });

  it("follows as it comes, and an interrupt ends the following", async () => {
    await host.run({ name: "box-talks", command: ["/bin/bash", "-c", "while read x; do echo heard $x; done"] });
    terminal.line("u logs -f box-talks");
    await host.request("POST", "/v1/sandboxes/box-talks/processes/main/stdin", Buffer.from("one\n"));
    await terminal.shows(/heard one/);
    await host.request("POST", "/v1/sandboxes/box-talks/processes/main/stdin", Buffer.from("two\n"));
    await terminal.shows(/heard two/);
    terminal.press("C-c");
    await terminal.shows(/\^C\n+PROMPT\$ $/m);
    terminal.line("echo code=$?");
    await terminal.shows(/code=130/);
  });
});

describe("tables on a terminal", () => {
  it("are cut where it ends, and have colours there only", async () => {
    terminal.resize(40, 30);
    terminal.line("clear; u ls; echo do''ne");
    await terminal.shows(/done/);
    const lines = terminal.screen().split("\n");
    expect(lines.find((line) => line.startsWith("NAME"))).toMatch(/^NAME +STATE +PID/);
    await until("no line is longer", () => lines.every((line) => line.length <= 40));
    terminal.line("clear; u stats");
    await terminal.shows(/CPU TIME[\s\S]*box +running/);
    terminal.press("C-c");
    await isRestored();
  });
});
