import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { numberOf, sizeText } from "./parsing.ts";
import { namespaceTable } from "./sandboxes.ts";

/** Everything alive in a sandbox, as a tree. */
export const processes = async ({ client, out }: Context, name: string): Promise<void> => {
  const found = await (await client.sandboxes.get(name)).processes();
  out.value(found, () => {
    const alive = found.alive ?? [];
    const parents = new Map(alive.map((each) => [each.pid, each.parentPid]));
    const depthOf = (pid: number, depth = 0): number => {
      const parent = parents.get(pid);
      return parent !== undefined && parents.has(parent) && depth < 32 ? depthOf(parent, depth + 1) : depth;
    };
    const rows = alive.map((each) => [
      `${each.pid}`,
      `${each.pidInside}`,
      each.process ?? "-",
      each.state,
      sizeText(each.rssBytes),
      each.cpuSeconds.toFixed(2),
      `${"  ".repeat(depthOf(each.pid))}${each.command.join(" ")}`,
    ]);
    out.table(["PID", "INSIDE", "PROCESS", "STATE", "RSS", "CPU", "COMMAND"], rows);
  });
};

export const namespaces = async (
  { client, out }: Context,
  name: string | undefined,
  options: { inode?: string; pid?: string; type?: string },
): Promise<void> => {
  if (name !== undefined) {
    const found = await (await client.sandboxes.get(name)).namespaces();
    return out.value(found, () =>
      found === null ? out.line(`${name} does not run: it has no namespaces now`) : namespaceTable(out, found),
    );
  }
  const filter = {
    ...(options.inode !== undefined && { inode: numberOf(options.inode) }),
    ...(options.pid !== undefined && { pid: numberOf(options.pid) }),
    ...(options.type !== undefined && { type: options.type as "mnt" }),
  };
  const found = await client.namespaces(filter);
  out.value(found, () => {
    const { process: owner } = found;
    if (owner !== null) {
      const whose = owner.sandbox === null ? "of no sandbox" : `${owner.role} of ${owner.sandbox.name}`;
      out.line(`pid ${owner.pid}: ${whose}, pid ${owner.pidInside} inside`);
    }
    const rows = found.items.map((each) => [
      each.type,
      `${each.inode}`,
      each.host ? "host" : "-",
      each.sandboxes.map((sandbox) => sandbox.name).join(" ") || "-",
    ]);
    out.table(["TYPE", "INODE", "HOST", "SANDBOXES"], rows);
  });
};

/** Draws; text is the model as JSON where that is asked for. */
export const diagram = async ({ client, out }: Context, name: string | undefined, options: { format: string }): Promise<void> => {
  if (out.json || options.format === "json") {
    const model = name === undefined ? await client.diagram() : await (await client.sandboxes.get(name)).diagram();
    return out.line(JSON.stringify(model));
  }
  process.stdout.write(await client.drawing(options.format as "svg" | "mermaid", name));
};

/** The preflight in words; the code says whether sandboxes can be started. */
export const doctor = async ({ client, out }: Context): Promise<number> => {
  const [info, { status, checks }] = [await client.info(), await client.preflight()];
  out.value({ status, checks, version: info.version }, () => {
    out.line(`unshared ${info.version}, Linux ${info.kernel}, daemon pid ${info.pid}`);
    for (const check of checks) {
      const color = ({ ok: "green", weak: "yellow", degraded: "yellow", missing: "red" } as const)[check.status];
      out.line(`${out.paint(check.status.padEnd(8), color)}  ${check.name}: ${check.detail}`);
      if (check.status !== "ok" && check.cost !== null) out.line(`          what it costs: ${check.cost}`);
      if (check.status !== "ok" && check.remedy !== null) out.line(`          to mend it: ${check.remedy}`);
    }
    const verdicts = {
      ok: checks.some(({ status: each }) => each === "weak")
        ? "sandboxes start, with all layers; what is weak above is about the host around them"
        : "everything is as it should be",
      degraded: "sandboxes start, with what is said above",
      missing: "sandboxes cannot be started",
    };
    out.line(verdicts[status]);
  });
  return status === "missing" ? exitCodes.failed : exitCodes.ok;
};
