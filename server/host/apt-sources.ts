import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** One archive of the host's apt configuration (sources.list(5)). */
export interface AptArchive {
  uri: string;
  suites: string[];
  /** Path of the keyring that signs it, when the entry names one. */
  keyring: string | null;
}

/** All binary archives that apt on this host reads over HTTP, in its order: sources.list, then sources.list.d by name. */
export async function aptArchives(base = "/etc/apt"): Promise<AptArchive[]> {
  const names = await readdir(join(base, "sources.list.d")).catch(() => []);
  const files = ["sources.list", ...names.sort().map((name) => join("sources.list.d", name))];
  const archives: AptArchive[] = [];
  for (const file of files) {
    const text = await readFile(join(base, file), "utf8").catch(() => "");
    if (file.endsWith(".list")) archives.push(...parseOneLine(text));
    else if (file.endsWith(".sources")) archives.push(...parseDeb822(text));
  }
  return archives.filter((each) => isPlainHttp(each.uri));
}

/** The archive to make a system of this suite from: the one that carries it, else the first that is no security or update archive. */
export function archiveFor(suite: string, archives: readonly AptArchive[]): AptArchive | null {
  const main = archives.filter((each) => !/security|updates|backports/.test(each.uri));
  return main.find((each) => each.suites.includes(suite)) ?? main[0] ?? null;
}

/** `deb [signed-by=/path arch=amd64] URI SUITE COMPONENT...` */
export function parseOneLine(text: string): AptArchive[] {
  const archives: AptArchive[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)/.exec(line);
    if (!match?.[2] || !match[3]) continue;
    const keyring = /(?:^|\s)signed-by=(\/\S+)/i.exec(match[1] ?? "")?.[1] ?? null;
    archives.push({ uri: match[2], suites: [match[3]], keyring });
  }
  return archives;
}

/** Paragraphs of fields; a line that begins with a blank continues the field, one that begins with # is a comment. */
export function parseDeb822(text: string): AptArchive[] {
  const archives: AptArchive[] = [];
  for (const paragraph of text.split(/\n[ \t]*\n/)) {
    const fields = new Map<string, string>();
    let name = "";
    for (const line of paragraph.split("\n")) {
      if (line.startsWith("#")) continue;
      const match = /^([A-Za-z0-9-]+):(.*)$/.exec(line);
      if (match) name = match[1]?.toLowerCase() ?? "";
      const value = match ? match[2] : line;
      if (name !== "") fields.set(name, `${fields.get(name) ?? ""} ${value ?? ""}`.trim());
    }
    const words = (field: string) => (fields.get(field) ?? "").split(/\s+/).filter((word) => word !== "");
    if (!words("types").includes("deb") || fields.get("enabled")?.toLowerCase() === "no") continue;
    const signedBy = fields.get("signed-by") ?? "";
    const keyring = /^\/\S+$/.test(signedBy) ? signedBy : null;
    for (const uri of words("uris")) archives.push({ uri, suites: words("suites"), keyring });
  }
  return archives;
}

/** A URI with a password in it is passed over: it would be stored and shown with the root. */
function isPlainHttp(uri: string): boolean {
  const url = URL.parse(uri);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
}
