import type { DiagramNamespace, DiagramSandbox } from "../../domain/diagram.ts";
import { type Block, box, group, textAt } from "./svg-elements.ts";
import { stateDot } from "./svg-sandbox.ts";
import { counted, shortened } from "./text.ts";

const columns = 6;
const tileWidth = 172;
const tileHeight = 44;
const gap = 8;
const pad = 14;
/** Tiles of one crowd; the rest is counted. */
const most = 120;

/** Many sandboxes that share the same namespaces, as tiles in one box. */
export const crowdBlock = (sandboxes: readonly DiagramSandbox[], shared: readonly DiagramNamespace[]): Block => {
  const shown = sandboxes.slice(0, sandboxes.length > most ? most - 1 : most);
  const tiles = shown.length + (shown.length < sandboxes.length ? 1 : 0);
  const rows = Math.ceil(tiles / columns);
  const across = Math.min(columns, tiles);
  const heading = headingOf(sandboxes.length, shared);
  const width = Math.max(across * (tileWidth + gap) - gap + 2 * pad, 8.7 * heading.length + 2 * pad);
  const height = pad + 30 + rows * (tileHeight + gap) - gap + pad;
  const at = (x: number, y: number, index: number): [number, number] => [
    x + pad + (index % columns) * (tileWidth + gap),
    y + pad + 30 + Math.floor(index / columns) * (tileHeight + gap),
  ];
  return {
    width,
    height,
    draw: (x, y) =>
      group(heading, [
        box(x, y, width, height, "sandbox"),
        textAt(x + pad, y + pad + 14, "name", heading),
        ...shown.map((sandbox, index) => tile(sandbox, ...at(x, y, index))),
        shown.length < sandboxes.length ? rest(sandboxes.length - shown.length, ...at(x, y, shown.length)) : "",
      ]),
  };
};

const headingOf = (count: number, shared: readonly DiagramNamespace[]): string => {
  const types = shared.map(({ type, host }) => `${type}${host ? " (host)" : ""}`);
  const what = types.length === 0 ? "all namespaces their own" : `sharing ${types.join(", ")}; the others their own`;
  return `${counted(count, "sandbox", "sandboxes")}, ${what}`;
};

const tile = (sandbox: DiagramSandbox, x: number, y: number): string => {
  const main = sandbox.processes?.find(({ role }) => role === "main");
  const count = (sandbox.processes?.length ?? 0) + sandbox.processesOmitted;
  const facts = main === undefined ? sandbox.state : `pid ${main.pid} \u00b7 ${counted(count, "process", "processes")}`;
  return group(`Sandbox ${sandbox.name}, ${sandbox.state}, ${facts}`, [
    box(x, y, tileWidth, tileHeight, "chip", 6),
    stateDot(x + 14, y + 15, sandbox.state),
    textAt(x + 25, y + 19, "label", shortened(sandbox.name, 16)),
    textAt(x + 25, y + 35, "quiet small", facts),
  ]);
};

const rest = (count: number, x: number, y: number): string =>
  group(`and ${count} more`, [box(x, y, tileWidth, tileHeight, "panel", 6), textAt(x + 14, y + 26, "quiet", `and ${count} more`)]);
