/**
 * Writes openapi/openapi.json from the routes' schemas, and client/api.ts from that; with --check only compares, and fails on a difference.
 * The routes are registered and never called, so the services behind them are not built.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pino } from "pino";
import { buildApp } from "../server/http/app.ts";
import { ConnectionLimits } from "../server/http/connection-limits.ts";
import type { Services } from "../server/http/services.ts";
import { clientTypes } from "./client-types.ts";

const services = { logger: pino({ level: "silent" }), connectionLimits: new ConnectionLimits(60_000, () => {}) } as unknown as Services;
const app = await buildApp(services, { fromUnix: new WeakSet(), peerScopes: null, tokenDigest: Buffer.alloc(32), tcp: null });
await app.ready();
const contract = `${JSON.stringify(app.swagger(), null, 2)}\n`;
await app.close();

const files = { "openapi/openapi.json": contract, "client/api.ts": clientTypes(JSON.parse(contract)) };
for (const [name, text] of Object.entries(files)) {
  const path = new URL(`../${name}`, import.meta.url);
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
  } else if (readFileSync(path, "utf8") !== text) {
    process.stderr.write(`${name} differs from the routes: run node script/openapi.ts and commit it\n`);
    process.exitCode = 1;
  }
}
