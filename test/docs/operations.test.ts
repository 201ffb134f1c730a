import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { problemKinds } from "../../server/http/problems.ts";
import { Daemon } from "../fixtures/daemon.ts";
import { docs } from "./guide.ts";

const read = (name: string): string => readFileSync(join(docs, name), "utf8");

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start("--default-root", "off", "--ready-shells", "0");
});
afterAll(() => daemon[Symbol.asyncDispose]());

/** Names of metrics in a text of queries. */
const namesIn = (text: string): string[] => [...new Set(text.match(/\b(?:unshared|nodejs|process)_[a-z0-9_]+/g))];

test.for(["operations/unshared.rules.yml", "operations/unshared.dashboard.json", "operations.md"])(
  "the metrics that %s names are what the daemon gives",
  async (name) => {
    const { text } = await daemon.request("GET", "/metrics");
    const kinds = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, metric = "", kind = ""]) => [metric, kind]));
    const given = [...kinds].flatMap(([metric, kind]) =>
      kind === "histogram" ? [metric, `${metric}_bucket`, `${metric}_sum`, `${metric}_count`] : [metric],
    );
    const named = namesIn(read(name));
    expect(named.length).toBeGreaterThan(4);
    expect(named.filter((metric) => !given.includes(metric))).toEqual([]);
  },
);

test("the dashboard has a query in each panel, and places for all of them", () => {
  const { panels } = JSON.parse(read("operations/unshared.dashboard.json")) as {
    panels: { id: number; gridPos: object; targets: { expr: string }[] }[];
  };
  expect(panels.filter(({ targets }) => targets.length === 0 || namesIn(JSON.stringify(targets)).length === 0)).toEqual([]);
  expect(new Set(panels.map(({ gridPos }) => JSON.stringify(gridPos))).size).toBe(panels.length);
});

test("each problem code has its line in the tables of trouble, and no other has", () => {
  const [, tables = ""] = read("operations.md").split("## Trouble, by problem code");
  const rows = [...tables.matchAll(/^\| (`[^|]*) \| (.+) \|$/gm)];
  const codes = rows.flatMap(([, cell = ""]) => cell.match(/[a-z-]+/g) ?? []);
  expect(codes.toSorted()).toEqual(Object.keys(problemKinds).toSorted());
  expect(rows.filter(([, , text = ""]) => text.length < 20)).toEqual([]);
});
