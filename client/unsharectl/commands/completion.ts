import type { Command } from "commander";

/** A command of the tree with its full name. */
interface Entry {
  path: string;
  summary: string;
  options: string[];
  subcommands: { name: string; summary: string }[];
  takesSandbox: boolean;
}

const walk = (command: Command, path: readonly string[] = []): Entry[] => {
  const subcommands = command.commands.filter((each) => each.name() !== "help");
  const own: Entry = {
    path: path.join(" "),
    summary: command.summary() || command.description(),
    options: command.options.filter((each) => !each.hidden).map((each) => each.long ?? each.short ?? ""),
    subcommands: subcommands.map((each) => ({ name: each.name(), summary: each.summary() || each.description() })),
    takesSandbox: command.registeredArguments.some((each) => /^(sandbox|sandboxes)$/.test(each.name())),
  };
  return [own, ...subcommands.flatMap((each) => walk(each, [...path, each.name()]))];
};

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const bash = (entries: readonly Entry[], global: string): string => {
  const cases = entries
    .map(({ path, options, subcommands, takesSandbox }) => {
      const words = [...subcommands.map(({ name }) => name), ...options].join(" ");
      return `    ${quoted(path)}) words=${quoted(words)}; names=${takesSandbox ? 1 : 0} ;;`;
    })
    .join("\n");
  return `# bash completion of unsharectl: source <(unsharectl completion bash)
_unsharectl() {
  local current=\${COMP_WORDS[COMP_CWORD]} path="" word words="" names=0
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
${entries
  .filter(({ path }) => path !== "")
  .map(({ path }) => `      ${quoted(`${path.split(" ").slice(0, -1).join(" ")} ${path.split(" ").at(-1)}`)}) path=${quoted(path)} ;;`)
  .join("\n")}
    esac
  done
  case "$path" in
${cases}
  esac
  words="$words ${global}"
  if ((names)); then words="$words $(unsharectl ls --quiet 2>/dev/null)"; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _unsharectl unsharectl
`;
};

const zsh = (entries: readonly Entry[], global: string): string => `#compdef unsharectl
# zsh completion of unsharectl: source <(unsharectl completion zsh)
autoload -U +X bashcompinit && bashcompinit
${bash(entries, global)}`;

const fish = (entries: readonly Entry[]): string => {
  const lines = ["# fish completion of unsharectl: unsharectl completion fish | source", "complete -c unsharectl -f"];
  for (const { path, options, subcommands, takesSandbox } of entries) {
    const seen = path === "" ? "__fish_use_subcommand" : `__fish_seen_subcommand_from ${path.split(" ").at(-1)}`;
    for (const { name, summary } of subcommands)
      lines.push(`complete -c unsharectl -n ${quoted(seen)} -a ${quoted(name)} -d ${quoted(summary)}`);
    for (const option of options)
      if (option.startsWith("--")) lines.push(`complete -c unsharectl -n ${quoted(seen)} -l ${option.slice(2)}`);
    if (takesSandbox) lines.push(`complete -c unsharectl -n ${quoted(seen)} -a '(unsharectl ls --quiet 2>/dev/null)'`);
  }
  return `${lines.join("\n")}\n`;
};

/** A shell's own words for what can be typed; names of sandboxes are asked for as they are needed. */
export const completion = (program: Command, shell: string): string => {
  const entries = walk(program);
  const global = program.options.map((each) => each.long).join(" ");
  return { bash: bash(entries, global), zsh: zsh(entries, global), fish: fish(entries) }[shell] ?? "";
};
