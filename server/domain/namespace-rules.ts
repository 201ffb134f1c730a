import { type Definition, type NamespaceSwitch, namespaceSwitches } from "./definition.ts";
import { DomainError, type InputFault } from "./errors.ts";
import type { NamespaceType } from "./instance-ports.ts";

/** What the kernel calls it (/proc/PID/ns). */
export const kernelName: Readonly<Record<NamespaceSwitch, NamespaceType>> = {
  mount: "mnt",
  uts: "uts",
  ipc: "ipc",
  net: "net",
  pid: "pid",
  user: "user",
  cgroup: "cgroup",
  time: "time",
};

/** What a process can do that is not kept from the host's namespace of this kind; shown as a warning. */
const consequences: Readonly<Record<Exclude<NamespaceSwitch, "time">, string>> = {
  mount: "its processes see and can reach the host's files",
  uts: "it shows the host's name",
  ipc: "it can reach the host's System V objects and POSIX message queues",
  net: "it can use the host's network interfaces and abstract sockets",
  pid: "it sees the host's processes",
  user: "its ids are the host's own",
  cgroup: "it sees its place in the host's cgroup tree",
};

/** The namespaces that the definition shares with the host although they are isolated by default. */
export const sharedNamespaces = (definition: Definition): Exclude<NamespaceSwitch, "time">[] =>
  namespaceSwitches.filter((key): key is Exclude<NamespaceSwitch, "time"> => key !== "time" && !definition.namespaces[key]);

/** One sentence for each namespace that is the host's own. */
export const namespaceWarnings = (definition: Definition): string[] =>
  sharedNamespaces(definition).map((key) => `shares the host's ${key} namespace: ${consequences[key]}`);

/** Why there is no terminal without a mount namespace: the host's own devpts lends none to an id that owns nothing there. */
export const noTerminal = "a terminal needs a mount namespace of its own, and with it a /dev/pts";

/**
 * Refuses combinations that make no sense or undo what the rest promises, each with its reason.
 * @throws DomainError `namespace-combination`, or `forbidden` where the caller lacks the admin scope
 */
export const checkNamespaces = (definition: Definition, scope: string): void => {
  const { namespaces, capabilities, root, hostname, init, tty } = definition;
  const faults: InputFault[] = [];
  const refuse = (pointer: string, detail: string) => faults.push({ pointer, detail });
  if (!namespaces.mount && root !== null)
    refuse(
      "/root",
      "a root of its own needs a mount namespace of its own; without one the host's files are what is seen, so leave root out",
    );
  if (!namespaces.user && !namespaces.mount)
    refuse("/namespaces/user", "without a user and a mount namespace the command would be the host's own root on the host's own files");
  if (!namespaces.user && capabilities.length > 0)
    refuse("/capabilities", "without a user namespace these would be capabilities over the host");
  if (!namespaces.uts && hostname !== null) refuse("/hostname", "without a uts namespace this would rename the host");
  if (!namespaces.mount && tty) refuse("/tty", noTerminal);
  if (!namespaces.pid && init) refuse("/init", "an init is the first process of a pid namespace; there is none of its own");
  if (faults.length > 0)
    throw new DomainError("namespace-combination", faults.map(({ pointer, detail }) => `${pointer}: ${detail}`).join("; "), { faults });

  const shared = sharedNamespaces(definition);
  if (shared.length > 0 && scope !== "admin") {
    throw new DomainError("forbidden", `sharing the host's ${shared.join(", ")} namespace needs the admin scope`, {
      faults: shared.map((key) => ({ pointer: `/namespaces/${key}`, detail: "needs the admin scope" })),
    });
  }
};
