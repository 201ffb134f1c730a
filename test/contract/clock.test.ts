/** The host's clock may be set by years, and its time zone may change: what waits does so by a clock that only goes forward, and no time is local. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const server = fileURLToPath(new URL("../../server", import.meta.url));
const lines = readdirSync(server, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .flatMap((path) =>
    readFileSync(join(server, path), "utf8")
      .split("\n")
      .map((text) => ({ path, text })),
  );

const linesWith = (pattern: RegExp): string[] => lines.filter(({ text }) => pattern.test(text)).map(({ path, text }) => `${path}: ${text}`);

test("no deadline of a wait is by the host's clock (check 71)", () => {
  const deadlines = /(deadline|until|patience)\w* = Date\.now\(\)|Date\.now\(\) [<>]=? \w*(deadline|until|patience)/i;
  expect(["const deadline = Date.now() + 5;", "if (Date.now() >= deadline) break;"].every((text) => deadlines.test(text))).toBe(true);
  expect(linesWith(deadlines)).toEqual([]);
  expect(linesWith(/deadline\w* = performance\.now\(\)/).length).toBeGreaterThan(2);
});

test("nothing reads or sets a time of the time zone: daylight saving changes nothing (check 71)", () => {
  const local = /\.[gs]et(Hours|Minutes|Date|Day|Month|FullYear|TimezoneOffset)\(|\.toLocale(Date|Time)?String\(|\bIntl\.|'localtime'/;
  expect(local.test("new Date().getHours()")).toBe(true);
  expect(linesWith(local)).toEqual([]);
  expect(linesWith(/toISOString\(/).length).toBeGreaterThan(0);
});
