import type { DiagramNamespace, DiagramProcess, DiagramSandbox } from "../../domain/diagram.ts";
import { namespaceTypes } from "../../domain/instance-ports.ts";
import { type Block, box, chip, chipHeight, group, monoWidth, sansWidth, textAt } from "./svg-elements.ts";
import { commandText, counted, shortened, visible } from "./text.ts";

/** How much of each sandbox is drawn. */
export interface Detail {
  processes: number;
  entryLines: number;
}

const width = 340;
const pad = 14;
const inner = width - 2 * pad;
const rowHeight = 18;
const indent = 14;
const deepest = 8;

/** One sandbox with the namespaces that are its own, its root and its processes; those that it shares come in by lines from above. */
export const sandboxBlock = (sandbox: DiagramSandbox, shared: readonly DiagramNamespace[], detail: Detail): Block => {
  const parts = [header(sandbox, shared), chips(sandbox, shared), root(sandbox, detail), tree(sandbox, detail)].filter(
    (part) => part.height > 0,
  );
  const height = parts.reduce((sum, part) => sum + part.height + 10, pad);
  return {
    width,
    height,
    draw: (x, y) => {
      const drawn: string[] = [box(x, y, width, height, "sandbox")];
      let top = y + pad;
      for (const part of parts) {
        drawn.push(part.draw(x + pad, top));
        top += part.height + 10;
      }
      return group(`Sandbox ${sandbox.name}, ${sandbox.state}`, drawn);
    },
  };
};

export const stateDot = (x: number, y: number, state: string): string =>
  `<circle cx="${x}" cy="${y}" r="5" class="${state === "running" || state === "paused" ? state : "other"}"/>`;

const header = ({ name, state }: DiagramSandbox, shared: readonly DiagramNamespace[]): Block => ({
  width: inner,
  height: shared.length > 0 ? 40 : 22,
  draw: (x, y) =>
    [
      stateDot(x + 5, y + 11, state),
      textAt(x + 18, y + 16, "name", shortened(visible(name), 24)),
      `<text x="${x + inner}" y="${y + 16}" class="quiet end">${state}</text>`,
      shared.length > 0
        ? textAt(x, y + 36, "quiet small", `shares ${shared.map(({ type, host }) => `${type}${host ? " (host)" : ""}`).join(", ")}`)
        : "",
    ].join(""),
});

const chips = ({ namespaces }: DiagramSandbox, shared: readonly DiagramNamespace[]): Block => {
  if (namespaces === null) return note("It does not run: it has no namespaces now.");
  const away = new Set(shared.map(({ type }) => type));
  const own = namespaceTypes.filter((type) => !away.has(type) && namespaces[type] !== 0);
  const chipWidth = (inner - 8) / 2;
  return {
    width: inner,
    height: Math.ceil(own.length / 2) * (chipHeight + 6) - (own.length > 0 ? 6 : 0),
    draw: (x, y) =>
      own
        .map((type, index) => {
          const [column, row] = [index % 2, Math.floor(index / 2)];
          const [left, top] = [x + column * (chipWidth + 8), y + row * (chipHeight + 6)];
          return chip(left, top, chipWidth, type, namespaces[type], `${type} namespace ${namespaces[type]}, its own`);
        })
        .join(""),
  };
};

const note = (text: string): Block => ({ width: inner, height: 18, draw: (x, y) => textAt(x, y + 13, "quiet", text) });

/** A panel with a heading and lines of its own drawing. */
const panel = (heading: string, rows: number, draw: (x: number, y: number) => string): Block => {
  const height = 28 + rows * rowHeight + 4;
  return {
    width: inner,
    height,
    draw: (x, y) =>
      group(heading, [box(x, y, inner, height, "panel", 6), textAt(x + 10, y + 19, "label small", heading), draw(x + 10, y + 28)]),
  };
};

const root = (sandbox: DiagramSandbox, { entryLines }: Detail): Block => {
  const { entries, entriesOmitted } = sandbox;
  const heading = `/  of ${sandbox.root === null ? "the host" : `root ${sandbox.root.name}`}`;
  if (entries === null) return panel(shortened(heading, 46), 0, () => "");
  const names = entries.map(({ name, type }) => shortened(visible(name), 20) + (type === "directory" ? "/" : type === "link" ? "@" : ""));
  const { lines, rest } = wrapped(names, Math.floor((inner - 20) / monoWidth), entryLines, entriesOmitted);
  const shown = rest > 0 ? [...lines.slice(0, -1), `${lines.at(-1)}  +${rest}`] : lines;
  return panel(shortened(heading, 46), shown.length, (x, y) =>
    shown.map((line, row) => textAt(x, y + 12 + row * rowHeight, "mono", line)).join(""),
  );
};

/** Words in lines of at most `length` characters; `rest` is how many had no room, with those that were omitted before. */
const wrapped = (words: readonly string[], length: number, most: number, omitted: number): { lines: string[]; rest: number } => {
  const lines: string[] = [];
  let line = "";
  for (const [index, word] of words.entries()) {
    // The last line keeps room for the count of what is left out.
    const room = lines.length === most - 1 ? length - 6 : length;
    if (line !== "" && line.length + 2 + word.length > room) {
      lines.push(line);
      if (lines.length === most) return { lines, rest: words.length - index + omitted };
      line = word;
    } else line = line === "" ? word : `${line}  ${word}`;
  }
  return { lines: line === "" ? lines : [...lines, line], rest: omitted };
};

const tree = ({ processes, processesOmitted }: DiagramSandbox, detail: Detail): Block => {
  if (processes === null || processes.length === 0) return { width: inner, height: 0, draw: () => "" };
  const shown = processes.slice(0, processes.length > detail.processes ? detail.processes - 1 : detail.processes);
  const omitted = processes.length - shown.length + processesOmitted;
  const heading = `${counted(processes.length + processesOmitted, "process", "processes")}: pid on the host \u00b7 inside`;
  return panel(heading, shown.length + (omitted > 0 ? 1 : 0), (x, y) => {
    const rows = placed(shown);
    const more = omitted > 0 ? textAt(x, y + 12 + shown.length * rowHeight, "quiet small", `and ${omitted} more`) : "";
    return rows.map((row, index) => processRow(row, rows, index, x, y)).join("") + more;
  });
};

interface PlacedProcess extends DiagramProcess {
  depth: number;
}

const placed = (processes: readonly DiagramProcess[]): PlacedProcess[] => {
  const depths = new Map<number, number>();
  return processes.map((each) => {
    const depth = each.parentPid === null ? 0 : Math.min(deepest, (depths.get(each.parentPid) ?? -1) + 1);
    depths.set(each.pid, depth);
    return { ...each, depth };
  });
};

const processRow = (each: PlacedProcess, rows: readonly PlacedProcess[], index: number, x: number, y: number): string => {
  const left = x + each.depth * indent;
  const middle = y + 8 + index * rowHeight;
  const parent = rows.findIndex(({ pid }) => pid === each.parentPid);
  const elbow = parent === -1 ? "" : `<path class="tree" d="M${left - indent + 4} ${y + 14 + parent * rowHeight}V${middle}H${left - 3}"/>`;
  const numbers = `${each.pid} \u00b7 ${each.pidInside}`;
  const commandLeft = left + numbers.length * monoWidth + 12;
  const room = Math.floor((x + inner - 20 - commandLeft) / sansWidth);
  const command = commandText(each.command);
  return group(`pid ${each.pid} on the host, ${each.pidInside} inside: ${shortened(command, 400)}`, [
    elbow,
    textAt(left, middle + 4, "mono", numbers),
    textAt(commandLeft, middle + 4, each.role === "main" ? "label" : "", shortened(command, room)),
  ]);
};
