/** How the model of the diagram is drawn up and drawn: sharing, hostile text, and where the boxes come to lie. */
import { DOMParser, type Element } from "@xmldom/xmldom";
import { describe, expect, it } from "vitest";
import { type Diagram, diagramOf, type SandboxFacts } from "../../server/domain/diagram.ts";
import { type NamespaceInodes, namespaceTypes } from "../../server/domain/instance-ports.ts";
import type { LiveProcess } from "../../server/domain/live-processes.ts";
import type { Report } from "../../server/domain/reports.ts";
import { mermaidOf } from "../../server/http/diagram/mermaid.ts";
import { svgOf } from "../../server/http/diagram/svg.ts";
import { exampleReport } from "../../server/http/schemas/sandbox-examples.ts";

const hostInodes = Object.fromEntries(namespaceTypes.map((type, index) => [type, 4026531834 + index])) as NamespaceInodes;
const hostile = `<script>alert(1)</script>&"'\u0000\u001b[31m\u202e\ud800\uffff]]>`;

const processOf = (pid: number, pidInside: number, parentPid: number, command: string[]): LiveProcess => ({
  ...{ pid, pidInside, parentPid, command },
  ...{ state: "S", rssBytes: 1, cpuSeconds: 0, startTicks: 1, process: null },
});

/** The nth of many: each fifth shares the host's net, each seventh its pid and ipc, all its time. */
const factsOf = (index: number): SandboxFacts => {
  const shared = ["time", ...(index % 5 === 4 ? ["net"] : []), ...(index % 7 === 6 ? ["pid", "ipc"] : [])];
  const namespaces = Object.fromEntries(
    namespaceTypes.map((type, at) => [type, { inode: shared.includes(type) ? hostInodes[type] : 4026532248 + index * 8 + at }]),
  );
  const base = 10_000 + index * 10;
  const report = {
    ...exampleReport,
    id: `id${index}`,
    name: `sandbox-${index}`.padEnd(index % 3 === 0 ? 63 : 1, "m"),
    status: { state: "running" },
    namespaces,
    process: { pid: base + 2 },
  } as unknown as Report;
  const processes = [
    processOf(base + 1, 1, 1, ["/init"]),
    processOf(base + 2, 2, base + 1, ["/bin/bash", "-c", hostile]),
    ...Array.from({ length: index % 9 }, (_, at) => processOf(base + 3 + at, 3 + at, base + 2 + at, ["sleep", "1".repeat(at * 40)])),
  ];
  const listing = {
    entries: [
      { name: "bin", type: "link" as const },
      { name: hostile, type: "file" as const },
    ],
    omitted: index % 2,
  };
  return { report, listing, processes };
};

const drawnUp = (count: number): Diagram =>
  diagramOf({
    at: "2026-11-24T10:00:00.000Z",
    host: { name: "host-1", kernel: "6.1.0" },
    hostInodes,
    sandboxes: Array.from({ length: count }, (_, index) => factsOf(index)),
    sandboxesOmitted: 0,
    states: {},
  });

const parsed = (svg: string): Element => {
  const faults: string[] = [];
  const document = new DOMParser({ onError: (level, message) => faults.push(`${level}: ${message}`) }).parseFromString(
    svg,
    "image/svg+xml",
  );
  expect(faults).toEqual([]);
  return document.documentElement as Element;
};
const number = (element: Element, name: string): number => Number(element.getAttribute(name));
const counts = [0, 1, 2, 4, 5, 10, 13, 24, 25, 100, 1000];

describe("the model", () => {
  it("has each namespace once, with all that have it", () => {
    const { namespaces } = drawnUp(10);
    expect(new Set(namespaces.map(({ type, inode }) => `${type} ${inode}`)).size).toBe(namespaces.length);
    expect(namespaces.filter(({ host }) => host).map(({ type, sandboxes }) => [type, sandboxes.length])).toEqual([
      ["mnt", 0],
      ["uts", 0],
      ["ipc", 1],
      ["net", 2],
      ["pid", 1],
      ["user", 0],
      ["cgroup", 0],
      ["time", 10],
    ]);
    expect(namespaces.filter(({ host }) => !host).every(({ sandboxes }) => sandboxes.length === 1)).toBe(true);
  });

  it("has processes as a tree, each after its parent, whatever the order of their pids", () => {
    const facts = factsOf(0);
    const processes = [
      processOf(5, 9, 90, ["late"]),
      processOf(7, 3, 5, ["child"]),
      processOf(90, 1, 1, ["init"]),
      processOf(91, 2, 1, ["x"]),
    ];
    const { sandboxes } = diagramOf({ ...drawnUp(0), hostInodes, sandboxes: [{ ...facts, processes }], at: "" });
    expect(sandboxes[0]?.processes?.map(({ pid, parentPid, role }) => [pid, parentPid, role])).toEqual([
      [90, null, "init"],
      [5, 90, "descendant"],
      [7, 5, "descendant"],
      [91, null, "started"],
    ]);
  });

  it("tells at most 64 processes of a sandbox and how many more there are", () => {
    const processes = Array.from({ length: 100 }, (_, index) => processOf(index + 10, index + 1, index + 9, ["x"]));
    const { sandboxes } = diagramOf({ ...drawnUp(0), hostInodes, sandboxes: [{ ...factsOf(0), processes }], at: "" });
    expect([sandboxes[0]?.processes?.length, sandboxes[0]?.processesOmitted]).toEqual([64, 36]);
  });
});

describe.each(counts)("the picture of %i sandboxes", (count) => {
  const root = parsed(svgOf(drawnUp(count)));
  const rectangles = [...root.getElementsByTagName("rect")];

  it("is XML without anything that acts", () => {
    expect([...root.getElementsByTagName("script")]).toEqual([]);
    const attributes = [...root.getElementsByTagName("*")].flatMap((element) => [...element.attributes].map(({ name }) => name));
    expect(attributes.filter((name) => /^on|href$/.test(name))).toEqual([]);
  });

  it("has no box that overlaps another one, and none outside the image", () => {
    const [width, height] = [number(root, "width"), number(root, "height")];
    const boxes = rectangles
      .filter((each) => /^(sandbox|chip)$/.test(each.getAttribute("class") ?? ""))
      .map((each) => ({
        kind: each.getAttribute("class"),
        left: number(each, "x"),
        top: number(each, "y"),
        right: number(each, "x") + number(each, "width"),
        bottom: number(each, "y") + number(each, "height"),
      }));
    for (const box of boxes) expect(box.left >= 0 && box.top >= 0 && box.right <= width && box.bottom <= height).toBe(true);
    for (const kind of ["sandbox", "chip"]) {
      const same = boxes.filter((box) => box.kind === kind);
      const overlaps = same.filter((a, index) =>
        same.slice(index + 1).some((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom),
      );
      expect(overlaps).toEqual([]);
    }
  });

  it("has a title, and one for each sandbox that is drawn by itself", () => {
    expect(root.getElementsByTagName("title")[0]?.textContent).toBe("Namespaces of host-1 and its sandboxes");
    const titles = [...root.getElementsByTagName("title")].map((each) => each.textContent ?? "");
    for (const { name, state } of drawnUp(Math.min(count, 100)).sandboxes)
      expect(titles.some((title) => title.startsWith(`Sandbox ${name}, ${state}`))).toBe(true);
  });

  it("leads a line to each box that shares a namespace", () => {
    const lanes = [...root.getElementsByTagName("path")].filter((each) => each.getAttribute("class") === "lane time");
    expect(lanes.length).toBe(count === 0 ? 0 : 1);
    const boxes = rectangles.filter((each) => each.getAttribute("class") === "sandbox");
    expect(lanes[0]?.getAttribute("d")?.split("M").length ?? 1).toBe(boxes.length + 1);
  });
});

describe("text from a sandbox", () => {
  it("is shown as text: nothing of it is markup, a control or turns the direction", () => {
    const svg = svgOf(drawnUp(1));
    expect(svg).toContain("&lt;script&gt;");
    expect(svg.replaceAll("\n", "")).not.toMatch(/<script|[\p{Cc}\p{Cf}\p{Cs}\uffff]/u);
    expect(parsed(svg).textContent).toContain("\\x1b[31m");
  });

  it("cannot leave its label in Mermaid", () => {
    for (const line of mermaidOf(drawnUp(3)).split("\n")) {
      expect(line.replaceAll(/"[^"]*"/g, "").includes("script")).toBe(false);
      expect((line.match(/"/g) ?? []).length % 2).toBe(0);
      expect(line).toMatch(/^[ -~]*$/);
    }
  });
});
