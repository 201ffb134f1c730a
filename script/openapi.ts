/**
 * Writes openapi/openapi.json from the routes' schemas; with --check only compares, and fails on a difference.
 * The routes are registered and never called, so the services behind them are not built.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pino } from "pino";
import { buildApp } from "../server/http/app.ts";
import type { Services } from "../server/http/services.ts";

const path = new URL("../openapi/openapi.json", import.meta.url);
const services = { logger: pino({ level: "silent" }) } as unknown as Services;
const app = await buildApp(services, { fromUnix: new WeakSet(), tokenDigest: Buffer.alloc(32), tcp: null });
await app.ready();
const text = `${JSON.stringify(app.swagger(), null, 2)}\n`;
await app.close();

if (!process.argv.includes("--check")) {
  writeFileSync(path, text);
} else if (readFileSync(path, "utf8") !== text) {
  process.stderr.write("openapi/openapi.json differs from the routes: run node script/openapi.ts and commit it\n");
  process.exitCode = 1;
}
