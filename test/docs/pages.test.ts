/** The guides as the daemon serves them at /docs/guide. */
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attachments, guides, textOf } from "../../server/http/guide/guides.ts";
import { pictureOf } from "../../server/http/guide/pictures.ts";
import { Daemon } from "../fixtures/daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";
import { tcpPort } from "../http/small-daemon.ts";
import { docs } from "./guide.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start("--default-root", "off", "--ready-shells", "0", "--listen", "127.0.0.1:0");
});
afterAll(() => daemon[Symbol.asyncDispose]());

const names = Object.keys(guides);
/** Over TCP and without a token, as a browser asks. */
const page = async (path: string) => {
  const reply = await fetch(`http://127.0.0.1:${tcpPort(daemon)}${path}`);
  return { status: reply.status, headers: reply.headers, url: reply.url, text: await reply.text() };
};
const idsIn = (html: string): string[] => [...html.matchAll(/ id="([^"]+)"/g)].map(([, id = ""]) => id);

test("every document of docs/ has a page", () => {
  const served = [...Object.values(guides).map(({ file }) => file), ...Object.values(attachments)];
  const documents = readdirSync(docs, { recursive: true, encoding: "utf8" }).filter((name) => /\.(md|yml|json)$/.test(name));
  expect(documents.filter((name) => !served.includes(`docs/${name}`))).toEqual([]);
});

test("/docs/guide leads to the first", async () => {
  const { status, url } = await page("/docs/guide");
  expect([status, new URL(url).pathname]).toEqual([200, "/docs/guide/quick-start"]);
});

describe.each(names)("%s", (name) => {
  test("is one document of HTML whose links and headings lead somewhere", async () => {
    const { status, headers, text } = await page(`/docs/guide/${name}`);
    expect([status, headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(headers.get("content-security-policy")).toMatch(/^default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(text.match(/<h1 /g)).toHaveLength(1);
    expect(text).not.toMatch(/<script|<iframe|\son\w+=|\sstyle=/i);
    const ids = idsIn(text);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...text.matchAll(/ href="([^"]*)"/g)].map(([, link = ""]) => link);
    // The page of the daemon itself is not among the documents.
    for (const link of new Set(links.filter((each) => !/^https?:/.test(each) && each !== "/"))) {
      const [path = "", fragment] = link.split("#");
      const target = path === "" ? { status: 200, text } : await page(path);
      expect(target.status, link).toBe(200);
      if (fragment !== undefined) expect(idsIn(target.text), link).toContain(fragment);
    }
  });

  test("is in the navigation of each page, and current in its own", async () => {
    for (const other of names) {
      const { text } = await page(`/docs/guide/${other}`);
      expect(text).toContain(`<a href="/docs/guide/${name}"${other === name ? ' aria-current="page"' : ""}>`);
    }
  });
});

test("each diagram has its picture, drawn from the text that is there now, and none is left over", async () => {
  const blocks = Object.values(guides).flatMap(({ file }) => [...textOf(file).matchAll(/^```mermaid\n(.*?)\n```$/gms)]);
  const drawn = blocks.map(([, text = ""]) => pictureOf(text)).toSorted();
  expect(drawn.length).toBeGreaterThan(3);
  expect(readdirSync(`${docs}/pictures`).toSorted()).toEqual(drawn.map((name) => `${name}.svg`));
  const { text: concepts } = await page("/docs/guide/concepts");
  expect(concepts).not.toContain("flowchart");
  for (const name of drawn) {
    expect(concepts).toContain(`src="/docs/guide/pictures/${name}.svg" alt="Diagram: `);
    const picture = await page(`/docs/guide/pictures/${name}.svg`);
    expect([picture.status, picture.headers.get("content-type")]).toEqual([200, "image/svg+xml; charset=utf-8"]);
    expect(picture.headers.get("content-security-policy")).toMatch(/^default-src 'none';/);
    expect(picture.text).not.toMatch(/<script|\son\w+=|foreignObject/i);
  }
});

test("a guide that is not there is a problem", async () => {
  for (const name of ["nothing", "constructor", "..%2f..%2fpackage.json", "quick-start.md", "pictures/0123456789abcdef.svg"])
    expectProblem(await daemon.request("GET", `/docs/guide/${name}`), 404, name);
});

test("code is shown as it is written", async () => {
  const { text } = await page("/docs/guide/quick-start");
  expect(text).toContain("<code>: &quot;${UNSHARED_SOCKET:=/run/unshared/unshared.sock}&quot;\ncall() {");
  expect(text).toContain("$(jq -r .enter &lt;&lt;&lt;&quot;$report&quot;)");
});
