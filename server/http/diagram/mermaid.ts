import type { Diagram, DiagramProcess, DiagramSandbox } from "../../domain/diagram.ts";
import { namespaceTypes } from "../../domain/instance-ports.ts";
import { commandText, counted, shortened, visible } from "./text.ts";

/** Beyond so many sandboxes each is one node. */
const mostDetailed = 12;
const mostNodes = 200;
const mostProcesses = 12;

/** Mermaid's own escape is #CODE; for a character; whatever has a meaning to it, or may get one, is written so. */
const escaped = (text: string): string => text.replaceAll(/[^A-Za-z0-9 ._/:=,+-]/gu, (character) => `#${character.codePointAt(0)};`);
const label = (...lines: string[]): string => `"${lines.map(escaped).join("<br/>")}"`;

/** The diagram in Mermaid's flowchart language. */
export const mermaidOf = (diagram: Diagram): string => {
  const lines = [
    "flowchart LR",
    `  subgraph host[${label(`Host ${visible(diagram.host.name)}`, `Linux ${diagram.host.kernel}`)}]`,
    "    direction TB",
  ];
  const shared = diagram.namespaces.filter(({ host, sandboxes }) => host || sandboxes.length > 1);
  for (const { type, inode, host } of shared) if (host) lines.push(`    ${type}_${inode}(${label(`${type} ${inode}`)})`);
  lines.push("  end");
  for (const { type, inode, host } of shared) if (!host) lines.push(`  ${type}_${inode}(${label(`${type} ${inode}`)})`);
  const isDetailed = diagram.sandboxes.length <= mostDetailed;
  const drawn = diagram.sandboxes.slice(0, mostNodes);
  for (const [index, sandbox] of drawn.entries()) {
    const name = `sandbox${index + 1}`;
    lines.push(...(isDetailed ? detailed(name, sandbox, new Set(shared.map(({ inode }) => inode))) : tile(name, sandbox)));
    for (const { type, inode, sandboxes } of shared) if (sandboxes.includes(sandbox.id)) lines.push(`  ${type}_${inode} --- ${name}`);
  }
  const omitted = diagram.sandboxesOmitted + diagram.sandboxes.length - drawn.length;
  if (omitted > 0) lines.push(`  more[${label(`and ${counted(omitted, "more sandbox", "more sandboxes")}`)}]`);
  return `${lines.join("\n")}\n`;
};

const tile = (name: string, sandbox: DiagramSandbox): string[] => {
  const processes = sandbox.processes
    ? counted(sandbox.processes.length + sandbox.processesOmitted, "process", "processes")
    : sandbox.state;
  return [`  ${name}[${label(sandbox.name, processes)}]`];
};

const detailed = (name: string, sandbox: DiagramSandbox, shared: ReadonlySet<number>): string[] => {
  const { namespaces, entries, processes } = sandbox;
  const lines = [`  subgraph ${name}[${label(`${sandbox.name} ${sandbox.state}`)}]`, "    direction TB"];
  for (const type of namespaceTypes) {
    const inode = namespaces?.[type] ?? 0;
    if (inode !== 0 && !shared.has(inode)) lines.push(`    ${type}_${inode}(${label(`${type} ${inode}`)})`);
  }
  if (sandbox.root !== null || entries !== null) {
    const names = (entries ?? []).map((entry) => shortened(visible(entry.name), 24) + (entry.type === "directory" ? "/" : ""));
    const rest = sandbox.entriesOmitted > 0 ? [`and ${sandbox.entriesOmitted} more`] : [];
    const rows = Array.from({ length: Math.ceil(names.length / 6) }, (_, row) => names.slice(row * 6, row * 6 + 6).join(" "));
    lines.push(`    ${name}_root[(${label(`/ of root ${sandbox.root?.name ?? "host"}`, ...rows, ...rest)})]`);
  }
  lines.push(...treeLines(name, (processes ?? []).slice(0, mostProcesses)));
  const omitted = sandbox.processesOmitted + Math.max(0, (processes?.length ?? 0) - mostProcesses);
  if (omitted > 0) lines.push(`    ${name}_more[${label(`and ${counted(omitted, "more process", "more processes")}`)}]`);
  return [...lines, "  end"];
};

const treeLines = (name: string, processes: readonly DiagramProcess[]): string[] =>
  processes.flatMap(({ pid, pidInside, parentPid, command }) => [
    `    ${name}_p${pid}[${label(`${pid} on the host, ${pidInside} inside`, shortened(commandText(command), 48))}]`,
    ...(parentPid === null ? [] : [`    ${name}_p${parentPid} --> ${name}_p${pid}`]),
  ]);
