import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const server = fileURLToPath(new URL("../../server", import.meta.url));

/** The rooms that a file of each room may import from; rooms.ts and main.ts, which belong to none, know all. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  http: ["http", "domain"],
  domain: ["domain"],
  store: ["store", "domain"],
  supervisor: ["supervisor", "domain"],
  host: ["host", "domain"],
};

/** Packages and builtins that belong to some rooms only. */
const belongsTo: readonly { name: RegExp; rooms: readonly string[] }[] = [
  { name: /^better-sqlite3$/, rooms: ["store"] },
  { name: /^execa$/, rooms: ["host"] },
  { name: /^(fastify|@fastify\/.*)$/, rooms: ["http"] },
  { name: /^node:child_process$/, rooms: ["host", "supervisor"] },
  { name: /^node:(http|https|net|sqlite)$/, rooms: ["http", "host", "supervisor", "main"] },
];

/** What a source text imports, re-exports or loads, type imports included. */
function importsOf(source: string): string[] {
  const statement = /^\s*(?:import|export)\b[^;"]*?\bfrom\s*"([^"]+)"|^\s*import\s*"([^"]+)"|\b(?:import|getBuiltinModule)\(\s*"([^"]+)"/gm;
  return [...source.matchAll(statement)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

/** The room of a path below server/: its first folder, or "main" for a file that lies in none. */
function roomOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : "main";
}

/** Why each import of the file is not allowed; empty when all are. `file` is relative to server/. */
function violations(file: string, source: string): string[] {
  const room = roomOf(file);
  return importsOf(source).flatMap((name) => {
    if (name.startsWith(".")) {
      const target = join(dirname(file), name);
      if (target.startsWith("..")) return [`${file}: ${name} is outside server/`];
      if (target === "main.ts") return [`${file}: nothing imports main.ts`];
      return room === "main" || mayImport[room]?.includes(roomOf(target)) ? [] : [`${file}: ${room} imports ${name}`];
    }
    const owners = belongsTo.find((each) => each.name.test(name))?.rooms;
    return owners === undefined || owners.includes(room) ? [] : [`${file}: ${name} belongs in ${owners.join(", ")}`];
  });
}

describe("imports point one way", () => {
  const files = readdirSync(server, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(server, join(entry.parentPath, entry.name)));

  test("every room is one that the rule knows", () => {
    const rooms = new Set(files.map(roomOf));
    expect([...rooms].filter((room) => room !== "main" && !(room in mayImport))).toEqual([]);
  });

  test.each(files.sort())("%s", (file) => {
    expect(violations(file, readFileSync(join(server, file), "utf8"))).toEqual([]);
  });
});

test("no file of the server makes Node read undici, as an import of node:http that is not one of types does", () => {
  const sources = readdirSync(server, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name));
  const importing = sources.filter((path) => /^import (?!type )[^;"]*from "node:http"/m.test(readFileSync(path, "utf8")));
  expect(importing).toEqual([]);
});

/** The client and its command are built on the API alone: nothing of theirs comes from the server, and the client's core runs in a browser. */
const clientViolations = (file: string, source: string): string[] => {
  const isCommand = file.startsWith("unsharectl/");
  const ofNode = isCommand || ["index.ts", "node-transport.ts"].includes(file);
  return importsOf(source).flatMap((name) => {
    if (name.startsWith(".")) {
      const target = join(dirname(file), name);
      if (target.startsWith("..")) return [`${file}: ${name} is outside client/`];
      const isOwn = target.startsWith("unsharectl/") === isCommand;
      return isOwn || (isCommand && target === "index.ts") ? [] : [`${file}: ${name} is not what the client shows`];
    }
    const isAllowed = name.startsWith("node:") ? ofNode : isCommand ? name === "commander" : ofNode && name === "ws";
    return isAllowed ? [] : [`${file}: ${name} does not belong here`];
  });
};

describe("the client imports nothing of the server", () => {
  const client = fileURLToPath(new URL("../../client", import.meta.url));
  const files = readdirSync(client, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.parentPath.includes("/dist"))
    .map((entry) => relative(client, join(entry.parentPath, entry.name)));

  test.each(files.sort())("%s", (file) => {
    expect(clientViolations(file, readFileSync(join(client, file), "utf8"))).toEqual([]);
  });

  test.each([
    ["http.ts", 'import { x } from "../server/http/app.ts";'],
    ["http.ts", 'import { x } from "node:http";'],
    ["unsharectl/main.ts", 'import { x } from "../../server/config.ts";'],
    ["unsharectl/main.ts", 'import { Http } from "../http.ts";'],
    ["client.ts", 'import { x } from "./unsharectl/main.ts";'],
    ["index.ts", 'import { x } from "undici";'],
  ])("refuses in %s: %s", (file, source) => {
    expect(clientViolations(file, source)).toHaveLength(1);
  });
});

/** The dashboard is built on the client as a browser has it, and on few packages. */
const webViolations = (file: string, source: string): string[] =>
  importsOf(source).flatMap((name) => {
    const isPackage = /^(preact|preact\/hooks|@preact\/signals|uplot|uplot\/.*\.css|@xterm\/.*)$/.test(name);
    const isOwn = name.startsWith(".") && !join(dirname(file), name).startsWith("..");
    const isClient = join(dirname(file), name) === "../../client/browser.ts";
    return isPackage || isOwn || isClient ? [] : [`${file}: ${name} is neither the dashboard's own nor the client's`];
  });

describe("the dashboard imports the client alone", () => {
  const web = fileURLToPath(new URL("../../web/src", import.meta.url));
  const files = readdirSync(web, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => relative(web, join(entry.parentPath, entry.name)));

  test.each(files.sort())("%s", (file) => {
    expect(webViolations(file, readFileSync(join(web, file), "utf8"))).toEqual([]);
  });

  test.each([
    ["app.tsx", 'import { x } from "../../server/http/app.ts";'],
    ["app.tsx", 'import { x } from "../../client/http.ts";'],
    ["pages/a.tsx", 'import { x } from "../../client/browser.ts";'],
    ["app.tsx", 'import { x } from "node:fs";'],
    ["app.tsx", 'const x = await import("lodash");'],
  ])("refuses in %s: %s", (file, source) => {
    expect(webViolations(file, source)).toHaveLength(1);
  });
});

describe("the rule itself", () => {
  test.each([
    ["domain/roots.ts", 'import { x } from "../store/roots.ts";'],
    ["domain/roots.ts", 'import type {\n  X,\n} from "../http/app.ts";'],
    ["domain/roots.ts", 'import Database from "better-sqlite3";'],
    ["domain/roots.ts", 'import { spawn } from "node:child_process";'],
    ["http/routes/roots.ts", 'import { x } from "../../host/roots.ts";'],
    ["http/app.ts", 'const app = await import("../supervisor/launcher.ts");'],
    ["store/roots.ts", 'export { x } from "../host/roots.ts";'],
    ["store/roots.ts", 'import "../main.ts";'],
    ["supervisor/launcher.ts", 'import { execa } from "execa";'],
    ["host/roots.ts", 'import type { FastifyInstance } from "fastify";'],
    ["domain/roots.ts", 'const { request } = process.getBuiltinModule("node:http");'],
    ["host/roots.ts", 'import { x } from "../../script/openapi.ts";'],
  ])("refuses in %s: %s", (file, source) => {
    expect(violations(file, source)).toHaveLength(1);
  });

  test.each([
    ["main.ts", 'import { x } from "./store/roots.ts";'],
    ["http/routes/roots.ts", 'import { x } from "../../domain/roots.ts";'],
    ["http/routes/roots.ts", 'import type { X } from "../schemas/roots.ts";'],
    ["store/database.ts", 'import Database from "better-sqlite3";'],
  ])("allows in %s: %s", (file, source) => {
    expect(violations(file, source)).toEqual([]);
  });
});
