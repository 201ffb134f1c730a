import { Argument, Command, Option } from "commander";
import { collect } from "./commands/parsing.ts";
import type { Context, GlobalOptions } from "./context.ts";

export const examples = `
  unsharectl create --name web --memory 256m        a sandbox that runs bash, and waits
  unsharectl exec -it web bash                      a shell in it; Ctrl-] leaves
  unsharectl run --memory 64m -- ls -l /            made, used, removed; the exit code is that of ls
  unsharectl ns --pid 4242                          whose process is that?
  unsharectl cp notes.txt web:/root/                a file into it
  unsharectl logs -f web                            what its processes write
  unsharectl diagram web > web.svg                  its namespaces beside the host's
  unsharectl ls --json | jq -r '.[].name'
`;

/** What an action is done with: it sets the exit code. */
export interface Session {
  exitCode: number;
  /** Whether the exit code is that of a command in a sandbox. */
  runsCommand: boolean;
}

const repeated = (flags: string, description: string): Option => new Option(flags, description).argParser(collect);

const withDefinition = (command: Command): Command =>
  command
    .option("-f, --file <path>", "a definition as JSON; - is stdin; the other options go over it")
    .option("-n, --name <name>", "its name; one is made up by default")
    .option("-r, --root <root>", "the root that it uses, default by default")
    .addOption(repeated("-e, --env <key=value>", "a variable of its environment; may be given again"))
    .addOption(repeated("-l, --label <key=value>", "a label; may be given again"))
    .addOption(repeated("--share <namespaces>", "namespaces of the host that it shares, as net,ipc; needs the admin scope"))
    .addOption(repeated("--cap <capability>", "a capability that it keeps, as CAP_CHOWN; may be given again"))
    .option("--seccomp <profile>", "system calls that it may make: default or strict")
    .option("-m, --memory <size>", "limit of memory, as 256m")
    .option("--cpus <number>", "limit of CPUs, as 0.5")
    .option("--pids <number>", "limit of processes and threads")
    .option("--disk <size>", "limit of what it writes, as 1g")
    .option("--hostname <name>", "its hostname; its name by default")
    .option("-w, --cwd <path>", "the directory that the command starts in")
    .option("-u, --user <uid[:gid]>", "who the command runs as, inside; 0:0 by default")
    .option("--ttl <time>", "deleted after so long, as 10m");

const withExec = (command: Command): Command =>
  command
    .option("-i, --interactive", "give it stdin")
    .option("--raw", "show control characters of its output as they are, also on a terminal");

const sandbox = () => new Argument("<sandbox>", "name or id");
const sandboxes = () => new Argument("<sandboxes...>", "names or ids");

/** The whole command line. What a command does is loaded when it is asked for. */
export const buildProgram = (session: Session, version: string): Command => {
  const program = new Command("unsharectl");
  const context = async (): Promise<Context> => (await import("./context.ts")).contextOf(program.opts<GlobalOptions>());
  const command = (name: string, description: string, parent = program): Command => parent.command(name).description(description);
  const passing = async (work: Promise<number>): Promise<void> => {
    session.exitCode = await work;
  };

  program
    .description("sandboxes in Linux namespaces of their own, managed by unshared")
    .version(version)
    .option("--socket <path>", "unix socket of the daemon")
    .option("--url <address>", "address of the daemon over TCP, in place of the socket")
    .option("--token <token>", "token for TCP; better in UNSHARED_TOKEN, since others see command lines")
    .option("--json", "answer as JSON, one value a line")
    .option("--no-color", "no colours")
    .showHelpAfterError("(unsharectl --help shows how)")
    .enablePositionalOptions()
    .addHelpText("after", `\nExamples:\n${examples}`);

  withDefinition(command("create", "make a sandbox and start it; prints its name"))
    .argument("[command...]", "its main process; bash by default")
    .option("-t, --tty", "the main process has a terminal")
    .option("--no-start", "only store it")
    .passThroughOptions()
    .action(async (words, options) => (await import("./commands/sandboxes.ts")).create(await context(), words, options));
  withExec(withDefinition(command("run", "make a sandbox for one command, pass its exit code on, remove the sandbox")))
    .argument("[command...]", "bash by default")
    .option("-t, --tty", "with a terminal")
    .option("--keep", "leave the sandbox")
    .passThroughOptions()
    .action(async (words, options) => passing((await asCommand(import("./commands/exec.ts"))).run(await context(), words, options)));
  withExec(command("exec", "start a command in a sandbox and pass its exit code on"))
    .addArgument(sandbox())
    .argument("<command...>", "the command and its arguments")
    .option("-t, --tty", "with a terminal; Ctrl-] leaves it")
    .option("-d, --detach", "do not wait; prints the id of the process")
    .addOption(repeated("-e, --env <key=value>", "a variable of its environment; may be given again"))
    .option("-w, --cwd <path>", "the directory that it starts in")
    .option("-u, --user <uid[:gid]>", "who it runs as, inside")
    .option("--timeout <time>", "killed after so long, as 30s")
    .passThroughOptions()
    .action(async (name, words, options) =>
      passing((await asCommand(import("./commands/exec.ts"))).exec(await context(), name, words, options)),
    );
  command("attach", "see and use a process that runs already; Ctrl-] leaves it")
    .addArgument(sandbox())
    .argument("[process]", "its id", "main")
    .option("--no-stdin", "only look")
    .option("--raw", "show control characters of its output as they are, also on a terminal")
    .action(async (name, id, options) =>
      passing((await asCommand(import("./commands/exec.ts"))).attach(await context(), name, id, options)),
    );

  command("ls", "list sandboxes")
    .addOption(repeated("-l, --label <key=value>", "only those with this label; may be given again"))
    .addOption(repeated("-s, --state <state>", "only those in this state; may be given again"))
    .option("-q, --quiet", "names only")
    .action(async (options) => (await import("./commands/sandboxes.ts")).list(await context(), options));
  command("show", "tell all about a sandbox")
    .addArgument(sandbox())
    .action(async (name) => (await import("./commands/sandboxes.ts")).show(await context(), name));
  const verbs = [
    ["start", "start what is stopped"],
    ["kill", "end at once"],
    ["pause", "make all of it stand still"],
    ["resume", "let it go on"],
  ] as const;
  for (const [verb, description] of verbs)
    command(verb, description)
      .addArgument(sandboxes())
      .action(async (names) => (await import("./commands/sandboxes.ts")).each(await context(), names, (each) => each[verb]()));
  for (const verb of ["stop", "restart"] as const)
    command(verb, verb === "stop" ? "end with grace: TERM, then KILL" : "stop and start again")
      .addArgument(sandboxes())
      .option("-g, --grace <seconds>", "between TERM and KILL", "10")
      .action(async (names, options) =>
        (await import("./commands/sandboxes.ts")).each(await context(), names, (each) =>
          each[verb]({ graceSeconds: Number(options.grace) }),
        ),
      );
  command("rm", "end and remove sandboxes with their files")
    .argument("[sandboxes...]", "names or ids")
    .option("-f, --force", "no failure where there is none")
    .option("-a, --all", "all of them")
    .action(async (names, options) => (await import("./commands/sandboxes.ts")).remove(await context(), names, options));

  command("logs", "show what the processes of a sandbox wrote")
    .addArgument(sandbox())
    .option("-f, --follow", "go on until it runs no more")
    .option("-n, --tail <records>", "only the last so many")
    .option("--since <time>", "only since then: RFC 3339, or so long ago as 10m")
    .option("-p, --process <id>", "only of this process; main is the main process")
    .option("-t, --timestamps", "say when, and which process")
    .option("--raw", "show control characters as they are, also on a terminal")
    .action(async (name, options) => (await import("./commands/logs.ts")).logs(await context(), name, options));
  command("events", "show what happened")
    .option("-f, --follow", "go on as it happens")
    .option("-s, --sandbox <sandbox>", "only of this one")
    .addOption(repeated("--type <type>", "such as sandbox.running, or sandbox.*; may be given again"))
    .action(async (options) => (await import("./commands/logs.ts")).events(await context(), options));
  command("ps", "show everything alive in a sandbox")
    .addArgument(sandbox())
    .action(async (name) => (await import("./commands/looking.ts")).processes(await context(), name));
  command("ns", "show namespaces: of a sandbox, of an inode, of a pid of the host, or all")
    .argument("[sandbox]", "name or id")
    .option("--inode <inode>", "whose is it?")
    .option("--pid <pid>", "of the host: whose is it?")
    .option("--type <type>", "mnt, uts, ipc, net, pid, user, cgroup or time")
    .action(async (name, options) => (await import("./commands/looking.ts")).namespaces(await context(), name, options));
  command("diagram", "draw host and sandboxes, or one of them")
    .argument("[sandbox]", "name or id")
    .addOption(new Option("--format <format>", "how").choices(["svg", "mermaid", "json"]).default("svg"))
    .action(async (name, options) => (await import("./commands/looking.ts")).diagram(await context(), name, options));
  command("stats", "show what sandboxes use, each second on a terminal")
    .argument("[sandboxes...]", "names or ids; all that run by default")
    .option("--no-stream", "once")
    .action(async (names, options) => (await import("./commands/stats.ts")).stats(await context(), names, options));
  command("cp", "copy files and directories between this machine and a sandbox")
    .argument("<from>", "PATH, SANDBOX:/PATH, or - for stdin")
    .argument("<to>", "PATH, SANDBOX:/PATH, or - for stdout")
    .action(async (from, to) => (await import("./commands/cp.ts")).cp(await context(), from, to));

  const roots = command("roots", "make, list and remove roots");
  command("create", "provision a root from programs of the host, or a Debian system", roots)
    .argument("<name>")
    .addOption(repeated("-b, --binary <path>", "a program of the host, with all that it needs; may be given again"))
    .addOption(repeated("--file <source[:target]>", "another file; may be given again"))
    .option("--suite <suite>", "a Debian system, as bookworm")
    .option("--variant <variant>", "of it: minbase or buildd")
    .option("--mirror <address>", "where it comes from")
    .addOption(repeated("--include <packages>", "further packages, as curl,git"))
    .action(async (name, options) => (await import("./commands/roots.ts")).createRoot(await context(), name, options));
  command("ls", "list roots", roots).action(async () => (await import("./commands/roots.ts")).listRoots(await context()));
  command("show", "tell all about a root", roots)
    .argument("<root>", "name or id")
    .option("--manifest", "every file, and why it is there")
    .action(async (name, options) => (await import("./commands/roots.ts")).showRoot(await context(), name, options));
  command("rm", "remove roots that nobody uses", roots)
    .argument("<roots...>", "names or ids")
    .action(async (names) => (await import("./commands/roots.ts")).removeRoots(await context(), names));

  const tokens = command("token", "make, list and revoke tokens for TCP");
  command("create", "make a token; prints its secret, once", tokens)
    .argument("<name>")
    .addOption(repeated("-s, --scope <scope>", "read, run or admin; may be given again").makeOptionMandatory())
    .option("--ttl <time>", "expires after so long, as 30d")
    .action(async (name, options) => (await import("./commands/tokens.ts")).createToken(await context(), name, options));
  command("ls", "list tokens", tokens).action(async () => (await import("./commands/tokens.ts")).listTokens(await context()));
  command("revoke", "revoke tokens", tokens)
    .argument("<tokens...>", "names or ids")
    .action(async (names) => (await import("./commands/tokens.ts")).revokeTokens(await context(), names));

  command("doctor", "tell what the host lacks, and how to mend it").action(async () =>
    passing((await import("./commands/looking.ts")).doctor(await context())),
  );
  command("completion", "print what a shell needs to complete command lines")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh", "fish"]))
    .action(async (shell) => void process.stdout.write((await import("./commands/completion.ts")).completion(program, shell)));
  command("man", "print the man page: unsharectl man | man -l -").action(
    async () => void process.stdout.write((await import("./manual.ts")).manual(program, version, examples)),
  );
  return program;

  /** From here on a failure is told by the codes of what runs commands. */
  async function asCommand<T>(module: Promise<T>): Promise<T> {
    session.runsCommand = true;
    return module;
  }
};
