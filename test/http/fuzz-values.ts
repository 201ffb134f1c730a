import { contract, type Operation, type Schema } from "./contract.ts";

/** Chance that can be repeated: mulberry32. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  is(probability: number): boolean {
    return this.next() < probability;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
}

/** Texts that mean something to shells, paths, mounts, formats, SQL or JSON. */
export const hostileTexts: readonly string[] = [
  ...[
    "",
    " ",
    ".",
    "..",
    "../../etc/passwd",
    "/..",
    "//",
    "-",
    "--help",
    "-rf",
    "-o exec",
    "a,b",
    "a:b",
    "lowerdir=/,upperdir=/tmp",
    "rw,suid,dev",
  ],
  ...[
    "\\",
    "\\134",
    "a\nb",
    "\r\n",
    "\t",
    "a\u0000b",
    "\u0000",
    "$(id)",
    "`id`",
    "${PATH}",
    ";reboot",
    "|cat",
    "&",
    "> /x",
    "*",
    "?",
    "~",
    "%s%n%x",
    "%00",
    "%2e%2e%2f",
  ],
  ...[
    "'; DROP TABLE sandboxes; --",
    "' OR 1=1 --",
    '"',
    "{}",
    "[]",
    "null",
    "\u202e",
    "\ud800",
    "é",
    "𝒳",
    "\u001b[2J",
    "__proto__",
    "constructor",
    "x".repeat(10_000),
  ],
];

const hostileValues: readonly unknown[] = [null, true, -1, 0, 1.5, 1e308, 2 ** 53, [], {}, [[[[]]]], { __proto__: null }, ...hostileTexts];

/** What is sent for some fields instead of what their schema allows: enough to reach far, and small enough for a test. */
const usual: Readonly<Record<string, readonly unknown[]>> = {
  name: ["x", "web-1", "x".repeat(63)],
  root: ["default", "tiny", "none"],
  command: [
    ["/bin/bash", "-c", "exit 3"],
    ["/bin/bash"],
    ["/bin/sleep", "0.05"],
    ["/no/such"],
    ["/bin/bash", "-c", "echo out; echo err >&2; kill -9 $$"],
  ],
  cwd: ["/", "/tmp", "/none"],
  user: [{ uid: 0 }, { uid: 5, gid: 5 }],
  graceSeconds: [0, 0.2, 0.0123456],
  wait: ["0", "1"],
  timeoutSeconds: [0.2, 1, 2],
  diskBytes: [null, 2 ** 24],
  memoryBytes: [null, 2 ** 25, 2 ** 30],
  pids: [32, 64],
  openFiles: [256, 1024],
  path: ["/", "/tmp", "/tmp/a", "/tmp/a/b", "/etc", "/bin/bash"],
  to: ["/tmp/b", "/tmp/c"],
  target: ["/tmp/a", "../x"],
  url: ["http://127.0.0.1:9/", "https://user:word@127.0.0.1:9/"],
  source: [
    { kind: "copy", binaries: ["/bin/sleep"] },
    { kind: "copy", binaries: ["/no/such"] },
    { kind: "copy", binaries: [] },
  ],
  capabilities: [[], ["CAP_CHOWN"]],
  files: [{ "/job/a": "text", "/job/b": { base64: "AAAA", mode: "0755" } }],
  collect: [["/job/*"], ["/**"], ["/none"]],
  namespaces: [{}, { time: true }, { net: false }, { pid: false, init: false }, { mount: false }, { user: false }],
  since: ["2026-11-24T10:00:00.000Z"],
  tail: ["0", "3"],
};

const texts: readonly string[] = [
  "a",
  "k=v",
  "main",
  "1",
  "0",
  "stdout",
  "sandbox.*",
  "/tmp",
  "SIGTERM",
  "A",
  "0644",
  "1-0",
  "held",
  "on",
  "true",
];

const resolved = (schema: Schema): Schema =>
  schema.$ref === undefined ? schema : (contract.components.schemas[schema.$ref.split("/").at(-1) as string] as Schema);

const textOf = (chance: Chance, schema: Schema): string => {
  const pattern = new RegExp(String(schema["pattern"] ?? ""), "u");
  const given = (schema["examples"] as string[] | undefined) ?? [];
  const fitting = [...texts, ...hostileTexts, ...given].filter((text) => pattern.test(text));
  return fitting.length === 0 ? "a" : chance.of(fitting);
};

const numberOf = (chance: Chance, { minimum = 0, maximum = 1_000, type }: Schema): number => {
  const inside = minimum + chance.next() * (Math.min(maximum, minimum + 1_000) - minimum);
  return chance.of([minimum, maximum, type === "integer" ? Math.floor(inside) : inside]);
};

/** How long something takes is never left to chance. */
const timed: readonly string[] = ["graceSeconds", "wait", "timeoutSeconds"];

/** A value that fits the schema, or nearly so. @param field whose it is @param wrong the probability that any part of it is something else */
export const anyValue = (chance: Chance, given: Schema, field: string, wrong: number): unknown => {
  if (chance.is(wrong)) return chance.of(hostileValues);
  const own = usual[field];
  if (own !== undefined && (timed.includes(field) || chance.is(0.9))) return structuredClone(chance.of(own));
  const schema = resolved(given);
  if (schema.enum !== undefined) return chance.of(schema.enum);
  if (schema.anyOf !== undefined) return anyValue(chance, chance.of(schema.anyOf), field, wrong);
  const type = Array.isArray(schema.type) ? chance.of(schema.type) : schema.type;
  if (type === "string") return textOf(chance, schema);
  if (type === "integer" || type === "number") return numberOf(chance, { ...schema, type });
  if (type === "boolean") return chance.is(0.5);
  if (type === "null") return null;
  if (type === "array") {
    const length = (schema.minItems ?? 0) + chance.below(3);
    return Array.from({ length }, () => anyValue(chance, schema.items ?? {}, field, wrong));
  }
  return objectOf(chance, schema, wrong);
};

const objectOf = (chance: Chance, { properties = {}, required = [], additionalProperties: entries }: Schema, wrong: number): object => {
  const named = Object.entries(properties).filter(([name]) => required.includes(name) || name === "graceSeconds" || chance.is(0.3));
  const members = named.map(([name, schema]): [string, unknown] => [name, anyValue(chance, schema, name, wrong)]);
  const free = typeof entries === "object" && entries !== null ? Array.from({ length: chance.below(3) }, (_, index) => `k${index}`) : [];
  for (const name of free) members.push([name, anyValue(chance, entries as Schema, name, wrong)]);
  if (chance.is(wrong)) members.push([chance.of(["surprise", "__proto__", "constructor", ""]), chance.of(hostileValues)]);
  return Object.fromEntries(members);
};

export interface FuzzRequest {
  method: string;
  path: string;
  body: unknown;
  headers: Record<string, string>;
}

const accepts = ["application/json", "text/event-stream", "application/octet-stream", "application/x-ndjson", "*/*", ""];

/** A request of this operation. @param known ids and names that may be there, for the parameters of its path */
export const requestOf = (chance: Chance, operation: Operation, known: Readonly<Record<string, readonly string[]>>): FuzzRequest => {
  const wrong = chance.of([0, 0, 0.02, 0.2]);
  const path = operation.path.replaceAll(/\{([^}]+)\}/g, (_, name: string) =>
    encodeURIComponent(chance.is(wrong) ? chance.of(hostileTexts).replaceAll("\ud800", "") : chance.of(known[name] ?? ["none"])),
  );
  const query = operation.parameters
    .filter((each) => each.in === "query" && (each.required === true || chance.is(0.25)))
    .map(({ name, schema }) => {
      const value = anyValue(chance, schema, name, wrong);
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return `${encodeURIComponent(name)}=${encodeURIComponent(text.replaceAll("\ud800", ""))}`;
    });
  const headers: Record<string, string> = chance.is(0.3) ? { accept: chance.of(accepts) } : {};
  if (chance.is(0.1)) headers["if-match"] = chance.of(['"1"', "*", "nonsense"]);
  if (operation.method === "POST" && chance.is(0.1)) headers["idempotency-key"] = chance.of(["k1", "k2", "k3"]);
  if (chance.is(0.1)) headers["last-event-id"] = chance.of(["0", "5", "x", "1-0"]);
  if (chance.is(0.05)) headers["range"] = chance.of(["bytes=0-1", "bytes=5-", "bytes=-1", "bytes=9-1", "nonsense"]);
  const body = operation.body === null ? undefined : anyValue(chance, operation.body.schema, "", wrong);
  return { method: operation.method, path: query.length === 0 ? path : `${path}?${query.join("&")}`, body, headers };
};
