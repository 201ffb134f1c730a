import type { Operation, RootInput } from "../../index.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { Ending } from "../failures.ts";
import { bar, ProgressLine } from "../output.ts";
import { ageText, sizeText } from "./parsing.ts";

export interface RootOptions {
  binary?: string[];
  file?: string[];
  suite?: string;
  variant?: string;
  mirror?: string;
  include?: string[];
}

/** `SOURCE` or `SOURCE:TARGET`. */
const fileOf = (text: string): string | { source: string; target: string } => {
  const [source = "", target] = text.split(":");
  return target === undefined ? source : { source, target };
};

const sourceOf = (options: RootOptions): RootInput["source"] => {
  const { binary = [], file = [], suite, variant, mirror, include } = options;
  if (suite !== undefined) {
    const packages = include?.flatMap((each) => each.split(","));
    return {
      kind: "debootstrap",
      suite,
      ...(variant !== undefined && { variant: variant as "minbase" }),
      ...(mirror && { mirror }),
      ...(packages && { include: packages }),
    };
  }
  if (binary.length + file.length === 0) throw new Ending(exitCodes.usage, "say what is in it: --binary and --file, or --suite");
  return { kind: "copy", binaries: binary, files: file.map(fileOf) };
};

/** Shows how far it is until it has ended. An interrupt cancels it. */
const follow = async (operation: Operation): Promise<void> => {
  const line = new ProgressLine();
  const cancel = () => void operation.cancel().catch(() => {});
  process.once("SIGINT", cancel);
  try {
    for await (const { progress, phase, message } of operation.progress())
      line.show(`${progress === null ? "" : `${bar(progress)} ${Math.round(progress * 100)}% `}${phase} ${message ?? ""}`);
  } finally {
    process.off("SIGINT", cancel);
    line.clear();
  }
};

export const createRoot = async ({ client, out }: Context, name: string, options: RootOptions): Promise<void> => {
  const operation = await client.roots.create({ name, source: sourceOf(options) });
  await follow(operation);
  await operation.done();
  const root = await client.roots.get(name);
  out.value(root, () => out.line(`${root.name}: ${root.fileCount ?? 0} files, ${sizeText(root.sizeBytes)}`));
};

export const listRoots = async ({ client, out }: Context): Promise<void> => {
  const found = await Array.fromAsync(client.roots.list());
  out.value(found, () => {
    const rows = found.map((each) => [
      each.name,
      each.state,
      each.source.kind,
      `${each.fileCount ?? "-"}`,
      sizeText(each.sizeBytes),
      `${each.users}`,
      ageText(each.createdAt),
    ]);
    out.table(["NAME", "STATE", "KIND", "FILES", "SIZE", "USERS", "AGE"], rows);
  });
};

export const showRoot = async ({ client, out }: Context, name: string, options: { manifest?: boolean }): Promise<void> => {
  if (options.manifest !== true) {
    const root = await client.roots.get(name);
    return out.value(root, () =>
      out.facts([
        ["name", root.name],
        ["id", root.id],
        ["state", root.state],
        ["source", JSON.stringify(root.source)],
        ["files", `${root.fileCount ?? "-"}`],
        ["size", sizeText(root.sizeBytes)],
        ["users", `${root.users}`],
        ["made", root.createdAt],
      ]),
    );
  }
  const manifest = await client.roots.manifest(name);
  out.value(manifest, () => {
    const rows = manifest.files.map((each) => [
      each.mode,
      sizeText(each.sizeBytes),
      each.path,
      each.why.map((why) => `${why.kind}${why.of === null ? "" : ` ${why.of}`}`).join(", "),
    ]);
    out.table(["MODE", "SIZE", "PATH", "WHY"], rows);
  });
};

export const removeRoots = async ({ client, out }: Context, names: string[]): Promise<void> => {
  for (const name of names) {
    await client.roots.delete(name);
    out.value({ name }, () => out.line(name));
  }
};
