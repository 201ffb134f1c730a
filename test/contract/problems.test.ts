import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { problemKinds } from "../../server/http/problems.ts";

interface Section {
  code: string;
  text: string;
}

/** The sections of openapi/problems.md: each has its code as a second-level heading, with or without backticks. */
function sections(): Section[] {
  const document = readFileSync(new URL("../../openapi/problems.md", import.meta.url), "utf8");
  return document
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const [heading = "", ...rest] = part.split("\n");
      return { code: heading.replaceAll("`", "").trim(), text: rest.join("\n").trim() };
    });
}

test("every code has its section in openapi/problems.md, and every section its code", () => {
  const documented = sections().map((section) => section.code);
  expect([...documented].sort()).toEqual(Object.keys(problemKinds).sort());
});

test.each(Object.entries(problemKinds))("the section of %s names its status", (code, kind) => {
  const section = sections().find((each) => each.code === code);
  expect(section?.text).toMatch(new RegExp(`\\b${kind.status}\\b`));
});

test.each(Object.entries(problemKinds))("the section of %s says at once whether the request may be sent again as it is", (code, kind) => {
  const text = sections().find((each) => each.code === code)?.text ?? "";
  expect(/^[^.]*\bretryable\b/.test(text)).toBe(kind.retryable);
});
