import type { Command } from "commander";

/** Text as troff shows it, whatever it begins with (groff_man(7)). */
const troff = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .split("\n")
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join("\n");

const optionLines = (command: Command): string[] =>
  command.options.filter((each) => !each.hidden).flatMap((each) => [".TP", `\\fB${troff(each.flags)}\\fR`, troff(each.description)]);

const usageOf = (command: Command, path: string): string => {
  const values = command.registeredArguments.map((each) => {
    const name = `${each.name()}${each.variadic ? "..." : ""}`.toUpperCase();
    return each.required ? name : `[${name}]`;
  });
  return [path, ...(command.options.length > 0 ? ["[OPTIONS]"] : []), ...values].join(" ");
};

const commandSections = (command: Command, path: string): string[] => {
  const children = command.commands.filter((each) => each.name() !== "help");
  if (children.length > 0) return children.flatMap((each) => commandSections(each, `${path} ${each.name()}`));
  return [`.SS "${troff(usageOf(command, path))}"`, troff(command.description()), ...optionLines(command)];
};

const codes: readonly (readonly [string, string])[] = [
  ["0", "It was done."],
  ["1", "The daemon refused, or it failed. For doctor: sandboxes cannot be started."],
  ["2", "The command line is not understood."],
  ["3", "No daemon could be reached."],
  ["125", "run, exec, attach: unsharectl or the daemon failed, not the command."],
  ["126, 127", "run, exec: the command cannot be executed, or is not there."],
  ["other", "run, exec, attach: the command's own code, or 128 and the number of the signal that killed it."],
];

const environment: readonly (readonly [string, string])[] = [
  ["UNSHARED_SOCKET", "The daemon's unix socket; /run/unshared/unshared.sock by default."],
  ["UNSHARED_URL, UNSHARED_TOKEN", "Its address over TCP in place of the socket, and the token for it."],
  ["UNSHARED_CA", "A file of authorities, PEM, that its certificate may come from; the machine's by default."],
  ["NO_COLOR", "Any value: no colours."],
];

const list = (pairs: readonly (readonly [string, string])[]): string[] =>
  pairs.flatMap(([name, text]) => [".TP", `\\fB${troff(name)}\\fR`, troff(text)]);

/** The man page, made of the same tree that understands the command line. */
export const manual = (program: Command, version: string, examples: string): string =>
  [
    `.TH UNSHARECTL 1 "" "unshared ${version}" "User Commands"`,
    ".SH NAME",
    `unsharectl \\- ${troff(program.description())}`,
    ".SH SYNOPSIS",
    ".B unsharectl\n[OPTIONS] COMMAND [ARGUMENTS]",
    ".SH OPTIONS",
    ...optionLines(program),
    ".SH COMMANDS",
    ...program.commands.filter((each) => each.name() !== "help").flatMap((each) => commandSections(each, each.name())),
    ".SH EXIT STATUS",
    ...list(codes),
    ".SH ENVIRONMENT",
    ...list(environment),
    ".SH EXAMPLES",
    ".nf",
    troff(examples.trim()),
    ".fi",
    "",
  ].join("\n");
