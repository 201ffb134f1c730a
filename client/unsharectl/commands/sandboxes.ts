import type { api, Sandbox } from "../../index.ts";
import type { Context } from "../context.ts";
import { Ending } from "../failures.ts";
import type { Output } from "../output.ts";
import { type DefinitionOptions, definitionOf } from "./definition.ts";
import { ageText, pairsOf } from "./parsing.ts";

const stateText = (out: Output, state: string): string =>
  out.paint(state, state === "running" ? "green" : state === "failed" ? "red" : "yellow");

export const create = async (
  { client, out }: Context,
  command: string[],
  options: DefinitionOptions & { start: boolean },
): Promise<void> => {
  const { report } = await client.sandboxes.create(definitionOf(options, command), { start: options.start });
  out.value(report, () => out.line(report.name));
};

export const list = async ({ client, out }: Context, options: { label?: string[]; state?: string[]; quiet?: boolean }): Promise<void> => {
  const filter = { labels: pairsOf(options.label ?? [], "--label"), states: options.state as api.Sandbox["status"]["state"][] | undefined };
  const found: api.Sandbox[] = [];
  for await (const { report } of client.sandboxes.list(filter)) found.push(report);
  if (options.quiet === true) return out.line(found.map(({ name }) => name).join("\n"));
  out.value(found, () => {
    const rows = found.map((each) => [
      each.name,
      each.status.state,
      `${each.process?.pid ?? "-"}`,
      each.root?.name ?? "-",
      ageText(each.createdAt),
      each.definition.command.join(" "),
    ]);
    out.table(["NAME", "STATE", "PID", "ROOT", "AGE", "COMMAND"], rows);
  });
};

export const show = async ({ client, out }: Context, name: string): Promise<void> => {
  const { report } = await client.sandboxes.get(name);
  out.value(report, () => showReport(out, report));
};

const showReport = (out: Output, report: api.Sandbox): void => {
  const { status, process, exit, ids, limits } = { ...report, limits: report.definition.limits };
  out.line(`${out.paint(report.name, "bold")}  ${stateText(out, status.state)}`);
  const set = Object.entries(limits).filter(([, value]) => value !== null);
  out.facts([
    ["id", report.id],
    ["reason", status.reason],
    ["message", status.message],
    ["since", status.since],
    ["root", report.root?.name ?? "the host's"],
    ["command", report.definition.command.join(" ")],
    ["main process", process && `${process.pid} on the host, ${process.pidInside} inside`],
    ["supervisor", report.supervisor && `${report.supervisor.pid}`],
    ["ids", ids && `${ids.hostUidBase} to ${ids.hostUidBase + ids.size - 1} on the host`],
    ["limits", set.map(([name, value]) => `${name} ${value}`).join(", ")],
    [
      "labels",
      Object.entries(report.labels)
        .map((pair) => pair.join("="))
        .join(", ") || null,
    ],
    ["exit", exit && (exit.signal ?? `${exit.code}`)],
    ["expires", report.lifetime.expiresAt],
    ["enter", report.enter],
  ]);
  if (report.namespaces === null) return;
  out.line();
  namespaceTable(out, report.namespaces);
  for (const warning of report.warnings) out.line(out.paint(`warning: ${warning}`, "yellow"));
};

export const namespaceTable = (out: Output, namespaces: NonNullable<api.Sandbox["namespaces"]>): void => {
  const rows = Object.entries(namespaces).map(([type, each]) => [
    type,
    `${each.inode}`,
    each.isolated ? "its own" : "the host's",
    `${each.hostInode ?? "-"}`,
    each.path,
  ]);
  out.table(["TYPE", "INODE", "WHOSE", "HOST'S INODE", "PATH"], rows);
};

type Verb = (sandbox: Sandbox) => Promise<unknown>;

/** Does it to each; all are tried, and a failure of any is one of the whole. */
export const each = async ({ client, out }: Context, names: string[], verb: Verb): Promise<void> => {
  const results = await Promise.allSettled(names.map(async (name) => verb(await client.sandboxes.get(name))));
  const failures: unknown[] = [];
  for (const [index, result] of results.entries()) {
    if (result.status === "rejected") failures.push(result.reason);
    else out.value(result.value, () => out.line(names[index]));
  }
  for (const failure of failures.slice(1)) process.stderr.write(`unsharectl: ${(failure as Error).message}\n`);
  if (failures.length > 0) throw failures[0];
};

/** Deletes; `force` takes for done what is not there. */
export const remove = async (context: Context, names: string[], options: { force?: boolean; all?: boolean }): Promise<void> => {
  const { client, out } = context;
  const found: string[] = [];
  if (options.all === true) for await (const { name } of client.sandboxes.list()) found.push(name);
  if (names.length + found.length === 0 && options.all !== true) throw new Ending(2, "name a sandbox, or use --all");
  const results = await Promise.allSettled([...names, ...found].map((name) => client.sandboxes.delete(name)));
  for (const result of results) {
    if (result.status === "fulfilled") out.value(result.value, () => out.line(receiptText(result.value)));
    else if (!(options.force === true && (result.reason as { code?: string }).code === "sandbox-not-found")) throw result.reason;
  }
};

const receiptText = ({ name, processes, mounts, namespaces, files, complete, remaining }: api.Receipt): string => {
  const removed = `${processes} processes, ${mounts} mounts, ${Object.keys(namespaces).length} namespaces, ${files} files`;
  return complete ? `${name}: removed ${removed}` : `${name}: removed ${removed}; left over: ${remaining.join(", ")}`;
};
