import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, createWriteStream, existsSync, mkdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Sandbox } from "../../index.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { Ending } from "../failures.ts";

/** One side: a path of this machine, or one inside a sandbox, which is absolute. */
interface Side {
  sandbox: string | null;
  path: string;
}

const sideOf = (text: string): Side => {
  const match = /^([a-z0-9][a-z0-9-]{0,62}):(\/.*)$/s.exec(text);
  return match === null ? { sandbox: null, path: text } : { sandbox: match[1] ?? "", path: match[2] ?? "" };
};

/** Waits for a program of the host. @throws Ending with what it said */
const done = async (child: ChildProcess, name: string): Promise<void> => {
  const said: Buffer[] = [];
  child.stderr?.on("data", (chunk: Buffer) => said.push(chunk));
  const [code] = (await once(child, "close")) as [number];
  if (code !== 0) throw new Ending(exitCodes.failed, `${name}: ${Buffer.concat(said).toString().trim()}`);
};

/** Between this machine and a sandbox: a file, or a directory with all that is in it. `-` is stdin or stdout. */
export const cp = async ({ client, out }: Context, from: string, to: string): Promise<void> => {
  const [source, target] = [sideOf(from), sideOf(to)];
  if ((source.sandbox === null) === (target.sandbox === null))
    throw new Ending(exitCodes.usage, "one side is SANDBOX:/PATH, the other a path of this machine");
  const sandbox = await client.sandboxes.get(source.sandbox ?? target.sandbox ?? "");
  if (source.sandbox === null) await upload(sandbox, source.path, target.path);
  else await download(sandbox, source.path, target.path);
  out.value({ from, to }, () => {});
};

const isDirectory = async (sandbox: Sandbox, path: string): Promise<boolean> =>
  (await sandbox.files.exists(path)) && (await sandbox.files.stat(path)).type === "directory";

const upload = async (sandbox: Sandbox, from: string, to: string): Promise<void> => {
  if (from === "-") return void (await sandbox.files.write(to, process.stdin as AsyncIterable<Uint8Array>, { parents: true }));
  const local = statSync(from);
  const name = basename(resolve(from));
  const inside = to.endsWith("/") || (await isDirectory(sandbox, to)) ? join(to, name) : to;
  if (!local.isDirectory()) {
    const mode = (local.mode & 0o777).toString(8).padStart(4, "0");
    return void (await sandbox.files.write(inside, createReadStream(from) as AsyncIterable<Uint8Array>, { parents: true, mode }));
  }
  if (!(await sandbox.files.exists(inside))) await sandbox.files.mkdir(inside, { parents: true });
  // Owners of this machine mean nothing inside.
  const tar = spawn("tar", ["-c", "--numeric-owner", "--owner=0", "--group=0", "-C", from, "."], { stdio: ["ignore", "pipe", "pipe"] });
  await Promise.all([done(tar, "tar"), sandbox.files.writeArchive(inside, tar.stdout as AsyncIterable<Uint8Array>)]);
};

const download = async (sandbox: Sandbox, from: string, to: string): Promise<void> => {
  if (!(await isDirectory(sandbox, from))) {
    const stream = Readable.fromWeb((await sandbox.files.readStream(from)) as never);
    if (to === "-") return pipeline(stream, process.stdout, { end: false });
    const target = existsSync(to) && statSync(to).isDirectory() ? join(to, basename(from)) : to;
    return pipeline(stream, createWriteStream(target));
  }
  const archive = Readable.fromWeb((await sandbox.files.readArchive(from)) as never);
  // What comes out of a sandbox is not trusted: no owners, no set-user-id, nothing outside of the target.
  const flags = ["--no-same-owner", "--no-same-permissions", "--no-overwrite-dir"];
  if (!existsSync(to)) mkdirSync(to, { recursive: true });
  const tar = spawn("tar", ["-x", ...flags, "-C", to], { stdio: ["pipe", "ignore", "pipe"] });
  await Promise.all([done(tar, "tar"), pipeline(archive, tar.stdin as NodeJS.WritableStream).catch(() => {})]);
};
