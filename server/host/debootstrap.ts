import { access, stat } from "node:fs/promises";
import { join } from "node:path";
import { DomainError, type InputFault } from "../domain/errors.ts";
import type { DebootstrapSource, Provision, RequestedSource } from "../domain/root-ports.ts";
import { aptArchives, archiveFor } from "./apt-sources.ts";
import { runDebootstrap } from "./debootstrap-run.ts";
import { finishDebootstrap } from "./debootstrap-tree.ts";
import type { RootFolders } from "./root-folders.ts";
import { programOnPath } from "./script-interpreter.ts";

const scripts = "/usr/share/debootstrap/scripts";
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
const debianMirror = "http://deb.debian.org/debian";

/**
 * Fills in what the request leaves open from the host's apt configuration, and checks what can be checked without the network.
 * @throws DomainError `host-not-ready` without debootstrap or its tools, `root-source-invalid` with pointers
 */
export async function prepareDebootstrap(asked: RequestedSource & { kind: "debootstrap" }, folders: RootFolders): Promise<Provision> {
  for (const program of ["debootstrap", "setpriv", "unshare", "gpgv"]) {
    if (!(await programOnPath(program)))
      throw new DomainError("host-not-ready", `this host has no ${program}, which a root of kind debootstrap needs`);
  }
  const suite = asked.suite ?? "bookworm";
  const archive = archiveFor(suite, await aptArchives());
  const source: DebootstrapSource = {
    kind: "debootstrap",
    suite,
    variant: asked.variant ?? "minbase",
    mirror: asked.mirror ?? archive?.uri ?? debianMirror,
    include: asked.include ?? [],
    keyring: asked.keyring ?? (asked.mirror === undefined ? archive?.keyring : null) ?? debianKeyring,
  };
  const faults = await faultsOf(source);
  const first = faults[0];
  if (first) throw new DomainError("root-source-invalid", first.detail, { faults });
  const run: Provision["run"] = (id, control) =>
    folders.make(id, control, async (tree) => {
      await runDebootstrap(source, tree, control);
      return await finishDebootstrap(tree, control);
    });
  return { source, run };
}

async function faultsOf(source: DebootstrapSource): Promise<InputFault[]> {
  const faults: InputFault[] = [];
  if (
    !(await access(join(scripts, source.suite)).then(
      () => true,
      () => false,
    ))
  ) {
    faults.push({ pointer: "/source/suite", detail: `the host's debootstrap knows no suite ${source.suite}` });
  }
  const mirror = URL.parse(source.mirror);
  if (!mirror) faults.push({ pointer: "/source/mirror", detail: "the mirror is not a URL" });
  else if (mirror.username !== "" || mirror.password !== "")
    faults.push({ pointer: "/source/mirror", detail: "a mirror with a password in it would be shown to every reader" });
  const keyring = source.keyring.startsWith("/") ? await stat(source.keyring).catch(() => null) : null;
  if (!keyring?.isFile()) faults.push({ pointer: "/source/keyring", detail: `${source.keyring} is not a keyring file of this host` });
  return faults;
}
