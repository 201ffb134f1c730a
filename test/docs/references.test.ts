/** What the documents point at is there: files, headings, routes with their parameters, problem codes, and the checks that SECURITY.md names. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, it, test } from "vitest";
import { lifecycle, states } from "../../server/domain/lifecycle.ts";
import { problemKinds } from "../../server/http/problems.ts";
import { contract } from "../http/contract.ts";

const repository = resolve(import.meta.dirname, "../..");
const text = (name: string): string => readFileSync(join(repository, name), "utf8");
const guides = readdirSync(join(repository, "docs")).filter((name) => name.endsWith(".md"));
const documents = [
  ...["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "openapi/problems.md", "client/README.md", "web/README.md"],
  ...guides.map((name) => `docs/${name}`),
];

/** A heading as GitHub names its place. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^a-z0-9 _-]/g, "")
    .replaceAll(" ", "-");

const isThere = (from: string, link: string): boolean => {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? join(repository, from) : join(repository, dirname(from), path);
  if (!existsSync(target)) return false;
  if (anchor === undefined || !target.endsWith(".md")) return true;
  return [...readFileSync(target, "utf8").matchAll(/^#+ (.+)$/gm)].some(([, heading = ""]) => anchorOf(heading) === anchor);
};

/** `GET …/files?path=` names a route of a sandbox, or of a process of one. */
const patternsOf = (path: string): string[] =>
  path.startsWith("/") ? [path] : ["{}", "{}/processes/{}"].map((each) => `/v1/sandboxes/${each}${path.replace(/^(…|\.\.\.)/, "")}`);
const isRoute = (method: string, target: string): boolean => {
  const [path = "", query = ""] = target.split("?");
  const wanted = query
    .split("&")
    .map((pair) => pair.split("=")[0] ?? "")
    .filter((name) => name !== "");
  return patternsOf(path).some((pattern) =>
    Object.entries(contract.paths).some(([route, methods]) => {
      const ours = pattern.split("/");
      const theirs = route.split("/");
      if (ours.length !== theirs.length || !theirs.every((part, at) => part.startsWith("{") || part === ours[at])) return false;
      const operation = methods[method.toLowerCase()] as { parameters?: { name: string }[] } | undefined;
      const known = operation?.parameters?.map(({ name }) => name) ?? [];
      return operation !== undefined && wanted.every((name) => known.includes(name));
    }),
  );
};
const named = /`(GET|POST|PUT|PATCH|DELETE)((?:, (?:GET|POST|PUT|PATCH|DELETE))*) ((?:\/v1\/|…\/|\.\.\.\/)[^`\s]*)`/g;

describe.each(documents)("%s", (name) => {
  it("links to files and headings that are there", () => {
    const links = [...text(name).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link = ""]) => link);
    expect(links.filter((link) => !isThere(name, link))).toEqual([]);
  });

  it("names routes and parameters of the contract", () => {
    // What comes first in the tables of migration.md is another's.
    const own = text(name).replaceAll(/^\| `[^|]*\|/gm, name === "docs/migration.md" ? "|" : "$&");
    const routes = [...own.matchAll(named)].flatMap(([, first = "", more = "", target = ""]) =>
      [first, ...more.split(", ").slice(1)].map((method) => [method, target] as const),
    );
    expect(routes.filter(([method, target]) => !isRoute(method, target))).toEqual([]);
  });
});

test("routes that are not there would be found", () => {
  expect([isRoute("GET", "/v1/info"), isRoute("GET", "…/files?path=/x"), isRoute("POST", "…/stdin")]).toEqual([true, true, true]);
  expect([isRoute("DELETE", "/v1/info"), isRoute("GET", "…/files?nope="), isRoute("GET", "/v1/nope")]).toEqual([false, false, false]);
  expect(isThere("README.md", "SECURITY.md#threat-model")).toBe(true);
  expect([isThere("README.md", "SECURITY.md#nope"), isThere("README.md", "NOPE.md")]).toEqual([false, false]);
});

test("each step of a sandbox's life that concepts.md draws is one of the table", () => {
  const [, drawn = ""] = /```mermaid\nstateDiagram-v2\n(.*?)```/s.exec(text("docs/concepts.md")) ?? [];
  const steps = [...drawn.matchAll(/^ {2}(\w+) --> (\w+)/gm)].map(([, from = "", to = ""]) => `${from} ${to}`);
  const possible = states.flatMap((from) =>
    Object.values(lifecycle[from]).flatMap((outcome) => (outcome.act === "to" ? [`${from} ${outcome.state}`] : [])),
  );
  expect(steps.length).toBeGreaterThan(10);
  expect(steps.filter((step) => !possible.includes(step))).toEqual([]);
});

test("the guide to operations has every problem code, and no other", () => {
  const tables = text("docs/operations.md").split("## Trouble")[1] ?? "";
  const codes = [...tables.matchAll(/^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \|/gm)].flatMap(([, cell = ""]) =>
    cell.replaceAll("`", "").split(", "),
  );
  expect(codes.toSorted()).toEqual(Object.keys(problemKinds).toSorted());
});

test("each layer in SECURITY.md names where it is made, and the checks that try it", () => {
  const [, table = ""] = /\n\| layer \|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)/.exec(text("SECURITY.md")) ?? [];
  const layers = table
    .trim()
    .split("\n")
    .map((row) => row.split(" | ").map((cell) => cell.replaceAll(/^\| | \|$/g, "")));
  expect(layers.length).toBe(13);
  const checks = [...text("test/isolation/REPORT.md").matchAll(/^\| (\d+) \|/gm)].map(([, number]) => Number(number));
  for (const [layer, , , where = "", tried = ""] of layers) {
    const files = [...where.matchAll(/`([^`]+)`/g)].map(([, path = ""]) => (path.includes("/") ? path : `supervisor/${path}`));
    const tests = [...tried.matchAll(/`([^`]+)`/g)].map(([, path = ""]) => path);
    const numbers = [...tried.replaceAll(/`[^`]*`/g, "").matchAll(/\d+/g)].map(([number]) => Number(number));
    expect(files.length, layer).toBeGreaterThan(0);
    expect([...files, ...tests].filter((path) => !existsSync(join(repository, path)))).toEqual([]);
    expect(numbers.length, layer).toBeGreaterThan(0);
    expect(numbers.filter((number) => !checks.includes(number))).toEqual([]);
  }
});
