/**
 * Writes docs/seccomp.md, and server/domain/system-calls.ts for the daemon, from the table in supervisor/seccomp-policy.h; with --check only
 * compares, and fails on a difference.
 */
import { readFileSync, writeFileSync } from "node:fs";

const header = readFileSync(new URL("../supervisor/seccomp-policy.h", import.meta.url), "utf8");

interface Group {
  reason: string;
  names: string[];
}
interface List {
  name: string;
  comment: string;
  groups: Group[];
}

const lists: List[] = [...header.matchAll(/(?:\/\* ((?:(?!\*\/).)*) \*\/\n)?static const char \*const (\w+)_calls\[\] = \{(.*?)\};/gs)].map(
  ([, comment = "", name = "", body = ""]) => {
    const groups: Group[] = [];
    for (const [, reason, call] of body.matchAll(/\/\* (.*?) \*\/|"(\w+)"/g)) {
      if (reason !== undefined || groups.length === 0) groups.push({ reason: reason ?? "", names: [] });
      if (call !== undefined) groups.at(-1)?.names.push(call);
    }
    return { name, comment: comment.replaceAll(/\s*\n \* /g, " "), groups };
  },
);
const listOf = (name: string): List => {
  const found = lists.find((list) => list.name === name);
  if (found === undefined || found.groups.every(({ names }) => names.length === 0)) throw new Error(`no list ${name}_calls in the header`);
  return found;
};
const namesOf = (name: string): string[] => listOf(name).groups.flatMap(({ names }) => names);

const array = (name: string, comment: string, calls: readonly string[]): string =>
  `/** ${comment} */\nexport const ${name}: ReadonlySet<string> = new Set(\n  "${[...new Set(calls)].sort().join(" ")}".split(" "),\n);\n`;

const source = `/** System calls that a definition may name. Written by script/seccomp.ts from supervisor/seccomp-policy.h, which says why. */

// biome-ignore format: generated
${array("allowableCalls", "May be in `allow`.", [...namesOf("allowed"), ...namesOf("on_request")])}
// biome-ignore format: generated
${array(
  "deniableCalls",
  "May be in `deny`.",
  ["allowed", "on_request", "conditional", "refused"].flatMap(namesOf).filter((name) => !namesOf("needed").includes(name)),
)}`;

const table = (name: string): string =>
  listOf(name)
    .groups.map(({ reason, names }) => `| ${reason.replaceAll("|", "\\|")} | ${names.map((call) => `\`${call}\``).join(" ")} |`)
    .join("\n");
const section = (title: string, name: string, text: string): string =>
  `## ${title}\n\n${text}\n\n| for | calls |\n|---|---|\n${table(name)}\n`;

const page = `# The seccomp profiles

Written by \`script/seccomp.ts\` from \`supervisor/seccomp-policy.h\`. Each process of a sandbox is under one filter, chosen by \`seccomp\` in its
definition, or in that of a run: \`"default"\`, \`"strict"\`, or a profile with changes, which need the admin scope:

\`\`\`json
{"seccomp": {"profile": "default", "allow": ["ptrace"], "deny": ["socket"]}}
\`\`\`

What is refused answers EPERM, what no list names ENOSYS, as a kernel without it would; so do all calls by the i386 and x32 interfaces.
\`allow\` takes what \`default\` allows and what is allowed on request; \`deny\` takes any call but those that the sandbox's own init and the way to the command
make: ${namesOf("needed")
  .map((call) => `\`${call}\``)
  .join(" ")}. The file agent, which is no process of the sandbox's own, keeps \`default\`.
What the kernel gets is disassembled in [golden/filter.txt](../test/isolation/golden/filter.txt), and compared on each run of check 20.

By their arguments: \`socket\` gives AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK with NETLINK_ROUTE, without DCCP, L2TP, SCTP and SMC, which the
host would load modules for (EAFNOSUPPORT, EPROTONOSUPPORT), in \`strict\` AF_UNIX only, as \`socketpair\` always;
\`clone\` makes no namespaces; \`ioctl\` is refused TIOCSTI, TIOCLINUX and TIOCSETD; \`personality\` does not turn address randomisation off; RLIMIT_CORE stays as it is.

${section("Allowed by default", "allowed", "What programs of all kinds use.")}
${section("Allowed by strict", "strict", listOf("strict").comment.replace(/^The profile "strict": w/, "W"))}
${section("Allowed on request", "on_request", listOf("on_request").comment)}
${section("Never allowed", "refused", "Refused whoever asks, the administrator too.")}`;

const files = { "server/domain/system-calls.ts": source, "docs/seccomp.md": page };
for (const [name, text] of Object.entries(files)) {
  const path = new URL(`../${name}`, import.meta.url);
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
  } else if (readFileSync(path, "utf8") !== text) {
    process.stderr.write(`${name} differs from the header: run node script/seccomp.ts and commit it\n`);
    process.exitCode = 1;
  }
}
