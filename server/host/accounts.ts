import { readFileSync } from "node:fs";
import type { PeerGrant, PeerRule } from "../domain/peer-scopes.ts";
import { DirectoryError } from "./directories.ts";

const tables = { uid: "/etc/passwd", gid: "/etc/group" } as const;

/** The number behind a name, from the file that the host keeps itself (passwd(5), group(5)); null where it is not there. */
const idOf = (kind: keyof typeof tables, name: string): number | null => {
  const line = readFileSync(tables[kind], "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${name}:`));
  const id = line?.split(":")[2];
  return id === undefined ? null : Number(id);
};

/** The gid of the group, or null where there is none of that name. */
export const groupId = (name: string): number | null => idOf("gid", name);

/** Rules by number. Names are looked up now, and not again. @throws DirectoryError for a name that the host's own files do not have */
export const numberedRules = (rules: readonly (PeerGrant & { kind: "uid" | "gid"; name: string })[]): PeerRule[] =>
  rules.map(({ name, ...rule }) => {
    const id = /^\d+$/.test(name) ? Number(name) : idOf(rule.kind, name);
    if (id === null) throw new DirectoryError(`--peer-scope: ${tables[rule.kind]} has no "${name}"; give the number of one from elsewhere`);
    return { ...rule, id };
  });
