import { readFileSync } from "node:fs";
import { posix, resolve } from "node:path";

const project = resolve(import.meta.dirname, "../../..");

/** Where the guides lie below this daemon's own address. */
export const guidePath = "/docs/guide";

export interface Guide {
  title: string;
  /** In the repository. */
  file: string;
}

/** By name in the address, in the order in which a newcomer reads them. */
export const guides: Readonly<Record<string, Guide>> = {
  "quick-start": { title: "Quick start", file: "docs/quick-start.md" },
  tutorial: { title: "Tutorial", file: "docs/tutorial.md" },
  concepts: { title: "Concepts", file: "docs/concepts.md" },
  cookbook: { title: "Cookbook", file: "docs/cookbook.md" },
  client: { title: "Client", file: "client/README.md" },
  operations: { title: "Operations", file: "docs/operations.md" },
  problems: { title: "Problems", file: "openapi/problems.md" },
  migration: { title: "Migration", file: "docs/migration.md" },
  seccomp: { title: "Seccomp profiles", file: "docs/seccomp.md" },
  security: { title: "Security", file: "SECURITY.md" },
  readme: { title: "Readme and settings", file: "README.md" },
  protocol: { title: "Supervisor protocol", file: "supervisor/PROTOCOL.md" },
};

/** What guides link to that is no page. */
export const attachments: Readonly<Record<string, string>> = {
  "unshared.rules.yml": "docs/operations/unshared.rules.yml",
  "unshared.dashboard.json": "docs/operations/unshared.dashboard.json",
};

const addresses: ReadonlyMap<string, string> = new Map([
  ...Object.entries(guides).map(([name, { file }]) => [file, `${guidePath}/${name}`] as const),
  ...Object.entries(attachments).map(([name, file]) => [file, `${guidePath}/${name}`] as const),
  ["openapi/openapi.json", "/openapi.json"],
  ["openapi", "/docs"],
]);

/** The text of a file of the repository, `/`-separated. */
export const textOf = (file: string): string => readFileSync(`${project}/${file}`, "utf8");

/**
 * Where a link of a guide leads as this daemon serves it; null for files of the repository that it does not serve.
 * @param file the guide that has the link, as in `guides`
 */
export const addressOf = (file: string, link: string): string | null => {
  if (/^(https?:|#)/.test(link)) return link;
  const [path = "", fragment] = link.split("#");
  const address = addresses.get(posix.join(posix.dirname(file), path).replace(/\/$/, ""));
  return address === undefined ? null : fragment === undefined ? address : `${address}#${fragment}`;
};
