import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import type { CopySource } from "../domain/root-ports.ts";
import { programOnPath } from "./script-interpreter.ts";

/** Programs a person at a shell expects; those this host does not have are left out. None of them needs set-user-id. */
const programs = `
bash sh dash
arch b2sum base32 base64 basename basenc cat chgrp chmod chown cksum comm cp csplit cut date dd df dir dircolors dirname du echo env
expand expr factor false fmt fold groups head hostid id install join link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl
nohup nproc numfmt od paste pathchk pinky pr printenv printf ptx pwd readlink realpath rm rmdir seq sha1sum sha224sum sha256sum
sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate tsort tty
uname unexpand uniq unlink users vdir wc who whoami yes [
grep egrep fgrep sed awk mawk find xargs diff cmp
ps free uptime top pgrep pkill pidof kill vmstat w watch
tar gzip gunzip zcat bzip2 xz unxz
hostname getent ip ss less more vi which file lsns nsenter unshare setpriv findmnt mountpoint getopt
tput clear reset locale
`;

// A full-grown editor brings interpreters and 30 MB of libraries; the small ones pass.
const maxProgramBytes = 2_500_000;

/** Terminals people have, where Debian keeps the descriptions that need no further package. */
const terminals = [
  "ansi",
  "dumb",
  "linux",
  "screen",
  "screen-256color",
  "tmux",
  "tmux-256color",
  "vt100",
  "vt220",
  "xterm",
  "xterm-256color",
];

/** The source of the embedded default root: what of the list above this host has, terminal descriptions and the C.UTF-8 locale. */
export async function defaultSource(): Promise<CopySource> {
  const binaries: string[] = [];
  for (const name of programs.split(/\s+/).filter((each) => each !== "")) {
    const path = await programOnPath(name);
    if (path && (await bytesOf(path)) <= maxProgramBytes) binaries.push(path);
  }
  const files: string[] = [];
  for (const name of terminals) {
    const places = ["/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo"].map((base) => join(base, name.charAt(0), name));
    const sizes = await Promise.all(places.map(bytesOf));
    const place = places[sizes.findIndex((bytes) => bytes !== Number.POSITIVE_INFINITY)];
    if (place) files.push(place);
  }
  files.push(...(await filesBelow("/usr/lib/locale/C.utf8")));
  return { kind: "copy", binaries, files };
}

async function bytesOf(path: string): Promise<number> {
  const stats = await stat(path).catch(() => null);
  return stats?.isFile() ? stats.size : Number.POSITIVE_INFINITY;
}

async function filesBelow(directory: string): Promise<string[]> {
  const base = await realpath(directory).catch(() => null);
  if (base === null) return [];
  const found = await readdir(base, { recursive: true, withFileTypes: true });
  return found.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
}
