import type { Diagram, DiagramNamespace, DiagramSandbox } from "../../domain/diagram.ts";
import { crowdBlock } from "./svg-crowd.ts";
import { type Block, box, chip, chipHeight, group, textAt, xml } from "./svg-elements.ts";
import { type Detail, sandboxBlock } from "./svg-sandbox.ts";
import { style } from "./svg-style.ts";
import { counted, visible } from "./text.ts";

const margin = 16;
const pad = 18;
const chipWidth = 176;
const chipPitch = chipHeight + 12;
const headHeight = 66;
const laneWidth = 9;
const columnGap = 20;
const rowGap = 16;

/** A block and the shared namespaces that lead to it. */
interface Connected {
  block: Block;
  shared: readonly DiagramNamespace[];
}

/** How much of each is drawn, and how many stand beside each other; null: tiles. */
const layoutFor = (count: number): { detail: Detail; columns: number } | null => {
  if (count <= 4) return { detail: { processes: 24, entryLines: 6 }, columns: Math.max(1, Math.min(2, count)) };
  if (count <= 12) return { detail: { processes: 6, entryLines: 2 }, columns: count <= 6 ? 3 : 4 };
  if (count <= 24) return { detail: { processes: 3, entryLines: 1 }, columns: 4 };
  return null;
};

/** The diagram as an SVG image that stands alone: no script, no link, no request. */
export const svgOf = (diagram: Diagram): string => {
  // A namespace is drawn once: at the left when the host has it, or several sandboxes do, else in its sandbox.
  const left = diagram.namespaces.filter(({ host, sandboxes }) => host || sandboxes.length > 1);
  const lanes = left.filter(({ sandboxes }) => sandboxes.length > 0);
  const sharedBy = ({ id }: DiagramSandbox) => lanes.filter(({ sandboxes }) => sandboxes.includes(id));
  const rows = rowsOf(diagram.sandboxes, sharedBy);
  const top = margin + headHeight;
  const gridLeft = margin + pad + chipWidth + (rows.length > 0 ? columnGap + lanes.length * laneWidth + columnGap : 0);
  // Above each row runs a bus for each shared namespace.
  const busHeight = lanes.length * laneWidth + rowGap;
  const tops: number[] = [];
  let under = top;
  for (const row of rows) {
    tops.push(under + busHeight);
    under += busHeight + heightOf(row);
  }
  const right = Math.max(
    ...rows.map((row) => row.reduce((sum, { block }) => sum + block.width + columnGap, 0) - columnGap),
    rows.length > 0 ? 0 : 260,
  );
  const bottom = Math.max(top + left.length * chipPitch, under);
  const [width, height] = [gridLeft + right + pad, bottom + pad - margin];
  const laneLeft = margin + pad + chipWidth + columnGap;
  const parts = [
    box(margin, margin, width - margin, height, "host", 12),
    head(diagram, margin + pad, margin + pad),
    ...lanes.map((lane, index) => wires(lane, { left, lanes, index, rows, tops, top, laneLeft, gridLeft })),
    ...left.map((each, index) => chip(margin + pad, top + index * chipPitch, chipWidth, each.type, each.inode, titleOf(each))),
    ...rows.flatMap((row, index) => drawnRow(row, gridLeft, tops[index] ?? 0)),
    rows.length === 0 ? textAt(gridLeft + columnGap, top + 16, "quiet", "No sandbox runs.") : "",
  ];
  return image(diagram, width + margin, height + 2 * margin, parts);
};

const rowsOf = (sandboxes: readonly DiagramSandbox[], sharedBy: (each: DiagramSandbox) => DiagramNamespace[]): Connected[][] => {
  const layout = layoutFor(sandboxes.length);
  if (layout === null) {
    const crowds = Map.groupBy(sandboxes, (each) =>
      sharedBy(each)
        .map(({ type, inode }) => `${type} ${inode}`)
        .join(),
    );
    return [...crowds.values()].map((crowd) => {
      const shared = sharedBy(crowd[0] as DiagramSandbox);
      return [{ block: crowdBlock(crowd, shared), shared }];
    });
  }
  const blocks = sandboxes.map((each) => ({ block: sandboxBlock(each, sharedBy(each), layout.detail), shared: sharedBy(each) }));
  const count = Math.ceil(blocks.length / layout.columns);
  return Array.from({ length: count }, (_, row) => blocks.slice(row * layout.columns, (row + 1) * layout.columns));
};

const heightOf = (row: readonly Connected[]): number => Math.max(...row.map(({ block }) => block.height));

const drawnRow = (row: readonly Connected[], left: number, top: number): string[] => {
  let x = left;
  return row.map(({ block }) => {
    const drawn = block.draw(x, top);
    x += block.width + columnGap;
    return drawn;
  });
};

interface Wiring {
  left: readonly DiagramNamespace[];
  lanes: readonly DiagramNamespace[];
  index: number;
  rows: readonly Connected[][];
  tops: readonly number[];
  top: number;
  laneLeft: number;
  gridLeft: number;
}

/** The lines from a shared namespace to every box that has it: right to its lane, along that to each row, down at each box. */
const wires = (lane: DiagramNamespace, wiring: Wiring): string => {
  const { left, lanes, index, rows, tops, top, laneLeft, gridLeft } = wiring;
  // The lowest has the nearest lane, so that lines to lanes cross none.
  const laneX = laneLeft + (lanes.length - index) * laneWidth;
  const chipY = top + left.indexOf(lane) * chipPitch + chipHeight / 2;
  const paths: string[] = [];
  const ports: string[] = [];
  for (const [row, boxes] of rows.entries()) {
    const busY = (tops[row] ?? 0) - (lanes.length - index) * laneWidth - 2;
    let x = gridLeft;
    for (const { block, shared } of boxes) {
      if (shared.includes(lane)) {
        const portX = x + 24 + index * 14;
        paths.push(`M${margin + pad + chipWidth} ${chipY}H${laneX}V${busY}H${portX}V${tops[row]}`);
        ports.push(`<circle cx="${portX}" cy="${tops[row]}" r="4" class="port ${lane.type}"/>`);
      }
      x += block.width + columnGap;
    }
  }
  const d = paths.join("");
  return group(`${titleOf(lane)}, shared`, [`<path class="halo" d="${d}"/><path class="lane ${lane.type}" d="${d}"/>`, ...ports]);
};

const titleOf = ({ type, inode, host, sandboxes }: DiagramNamespace): string => {
  const users = sandboxes.length === 0 ? "no sandbox has it" : `${counted(sandboxes.length, "sandbox has", "sandboxes have")} it`;
  return `${type} namespace ${inode}${host ? " of the host" : ""}: ${users}`;
};

const head = ({ host, sandboxes, sandboxesOmitted, at }: Diagram, x: number, y: number): string => {
  const total = sandboxes.length + sandboxesOmitted;
  const omitted = sandboxesOmitted > 0 ? `, ${sandboxesOmitted} of them not drawn` : "";
  const facts = `Linux ${host.kernel} \u00b7 ${counted(total, "sandbox", "sandboxes")}${omitted} \u00b7 ${at}`;
  return textAt(x, y + 12, "title", `Host ${visible(host.name)}`) + textAt(x, y + 30, "quiet small", facts);
};

const image = (diagram: Diagram, width: number, height: number, parts: readonly string[]): string => {
  const title = `Namespaces of ${diagram.host.name} and its sandboxes`;
  const names = diagram.sandboxes.slice(0, 20).map(({ name, state }) => `${name} (${state})`);
  const description = `${counted(diagram.sandboxes.length, "sandbox", "sandboxes")}${names.length > 0 ? `: ${names.join(", ")}` : ""}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="group" aria-labelledby="title description">`,
    `<title id="title">${xml(title)}</title><desc id="description">${xml(description)}</desc><style>${style}</style>`,
    `<rect width="${width}" height="${height}" class="ground"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
};
