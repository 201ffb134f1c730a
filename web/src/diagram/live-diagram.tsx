import { useRef, useState } from "preact/hooks";
import type { api } from "../../../client/browser.ts";
import { formatCommand } from "../format.ts";
import { href } from "../router.ts";
import { useMotion } from "./motion.ts";

type DiagramSandbox = api.Diagram["sandboxes"][number];
type Namespace = api.Diagram["namespaces"][number];

/** More would be a wall, not a picture. */
const mostBoxes = 60;
const mostProcesses = 5;

interface ChipProps {
  type: string;
  inode: number;
  /** Whose it is: the host's, of several sandboxes, or of one alone. */
  kind: "host" | "shared" | "own";
  isMarked: boolean;
  mark: (inode: number | null) => void;
}

/** One namespace where it is used. Pointing at it marks it everywhere else. */
const Chip = ({ type, inode, kind, isMarked, mark }: ChipProps) => (
  <li
    class={`ns ${kind}${isMarked ? " marked" : ""}`}
    title={`${type}:[${inode}]`}
    onPointerEnter={() => mark(inode)}
    onPointerLeave={() => mark(null)}
  >
    <span class="ns-type">{type}</span>
    <span class="ns-inode">{inode}</span>
  </li>
);

const Processes = ({ processes, omitted }: { processes: DiagramSandbox["processes"]; omitted: number }) => {
  if (processes === null) return null;
  const depths = new Map<number, number>();
  for (const { pid, parentPid } of processes) depths.set(pid, parentPid === null ? 0 : (depths.get(parentPid) ?? -1) + 1);
  const shown = processes.slice(0, mostProcesses);
  const more = processes.length - shown.length + omitted;
  return (
    <ul class="box-processes">
      {shown.map(({ pid, pidInside, command }) => (
        <li key={pid} style={{ paddingInlineStart: `${(depths.get(pid) ?? 0) * 14}px` }}>
          <span class="pid" title={`${pid} on the host`}>
            {pidInside}
          </span>
          <code>{formatCommand(command.map((word) => word.trimEnd()))}</code>
        </li>
      ))}
      {more > 0 && <li class="muted">and {more} more</li>}
    </ul>
  );
};

/** The host with its namespaces, and in it what runs, each box with those that it has. */
export const LiveDiagram = ({ diagram }: { diagram: api.Diagram }) => {
  const [marked, setMarked] = useState<number | null>(null);
  const boxes = useRef<HTMLUListElement>(null);
  useMotion(boxes);
  const byInode = new Map<string, Namespace>(diagram.namespaces.map((each) => [`${each.type} ${each.inode}`, each]));
  const kindOf = (type: string, inode: number): ChipProps["kind"] => {
    const found = byInode.get(`${type} ${inode}`);
    if (found?.host === true) return "host";
    return (found?.sandboxes.length ?? 0) > 1 ? "shared" : "own";
  };
  const chip = (type: string, inode: number) => (
    <Chip key={type} type={type} inode={inode} kind={kindOf(type, inode)} isMarked={marked === inode} mark={setMarked} />
  );
  const shown = diagram.sandboxes.slice(0, mostBoxes);
  const more = diagram.sandboxes.length - shown.length + diagram.sandboxesOmitted;
  return (
    <div class="diagram">
      <div class="diagram-head">
        <strong>{diagram.host.name}</strong> <span class="muted">Linux {diagram.host.kernel}</span>
      </div>
      <ul class="ns-list" aria-label="Namespaces of the host">
        {diagram.namespaces.filter(({ host }) => host).map(({ type, inode }) => chip(type, inode))}
      </ul>
      {shown.length === 0 && <p class="muted diagram-empty">Nothing runs. What is started appears here.</p>}
      <ul class="boxes" ref={boxes} aria-label="Sandboxes that run">
        {shown.map((sandbox) => (
          <li key={sandbox.id} data-key={sandbox.id} class={`box ${sandbox.state}`}>
            <div class="box-head">
              <a href={href(["sandboxes", sandbox.id])}>{sandbox.name}</a>
              <span class="muted">{sandbox.state === "running" ? (sandbox.root?.name ?? "") : sandbox.state}</span>
            </div>
            {sandbox.namespaces !== null && (
              <ul class="ns-list" aria-label={`Namespaces of ${sandbox.name}`}>
                {Object.entries(sandbox.namespaces).map(([type, inode]) => chip(type, inode))}
              </ul>
            )}
            <Processes processes={sandbox.processes} omitted={sandbox.processesOmitted} />
          </li>
        ))}
      </ul>
      {more > 0 && <p class="muted">and {more} more</p>}
      <p class="diagram-key" aria-hidden="true">
        <span class="ns own">its own</span> <span class="ns shared">shared by several</span> <span class="ns host">the host's</span>
      </p>
    </div>
  );
};
