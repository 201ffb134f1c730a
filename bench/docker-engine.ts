import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Connection } from "./connection.ts";
import { findProgram, peerLibraries } from "./packages.ts";
import { run, start, stop, until } from "./program.ts";
import { cgroupName, makeScratch } from "./scratch.ts";
import type { Undo } from "./undo.ts";

/** The image that every engine of the bench has: the bench's tree. */
export const image = "unshared-bench:latest";

const container = {
  Image: image,
  Cmd: ["/bin/bash"],
  OpenStdin: true,
  HostConfig: { NetworkMode: "none", LogConfig: { Type: "none" } },
};

/**
 * Both programs write to fixed places (/run/containerd, /run/docker, /opt/containerd, /etc/docker). They get a mount namespace in
 * which those are not the host's; it goes with the last of their processes, and every mount of theirs with it.
 */
const privately = (place: string): string[] => {
  const layers = `lowerdir=/etc,upperdir=${place}/etc,workdir=${place}/etc-work`;
  const mounts = `mkdir -p ${place}/etc ${place}/etc-work && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /opt && mount -t overlay -o ${layers} overlay /etc`;
  return ["--mount", "--propagation", "private", "sh", "-c", `${mounts} && exec "$@"`, "sh"];
};

/** Starts containerd and dockerd with folders, sockets and cgroups of their own, without touching the host's network. */
const startEngine = async (place: string, undo: Undo): Promise<string> => {
  const containerd = await findProgram("containerd");
  const dockerd = await findProgram("dockerd");
  const libraries = (await run("ldd", [dockerd]).catch(() => "")).includes("not found") ? { LD_LIBRARY_PATH: peerLibraries } : {};
  const path = [dirname(containerd), dirname(dockerd), dirname(await findProgram("runc")), process.env["PATH"]].join(":");
  const env = { ...process.env, ...libraries, PATH: path };
  const [containerdSocket, dockerSocket] = [join(place, "c.sock"), join(place, "d.sock")];
  const config = join(place, "containerd.toml");
  await writeFile(config, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
  const folders = ["--root", join(place, "containerd"), "--state", join(place, "containerd-run")];
  const first = start(
    "unshare",
    [...privately(place), containerd, "--config", config, ...folders, "--address", containerdSocket],
    join(place, "containerd.log"),
    env,
  );
  undo.push("stop containerd", () => stop(first));
  await until("containerd's socket", 20, () => answers(containerdSocket), first);
  const files = ["--data-root", join(place, "data"), "--exec-root", join(place, "exec"), "--pidfile", join(place, "d.pid")];
  const network = ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none"];
  const flags = [
    ...files,
    ...network,
    "--containerd",
    containerdSocket,
    "--cgroup-parent",
    `/${cgroupName}-docker`,
    "--config-file",
    `${config}.json`,
  ];
  await writeFile(`${config}.json`, "{}");
  const second = start(
    "nsenter",
    [`--mount=/proc/${first.pid}/ns/mnt`, dockerd, ...flags, "--host", `unix://${dockerSocket}`],
    join(place, "dockerd.log"),
    env,
  );
  undo.push("stop dockerd", () => stop(second, 20));
  await until("dockerd's socket", 30, () => answers(dockerSocket, "/_ping"), second);
  return dockerSocket;
};

const answers = async (socket: string, path?: string): Promise<boolean> => {
  const connection = await Connection.open(socket);
  try {
    return path === undefined || (await connection.request("GET", path)).status === 200;
  } finally {
    connection.close();
  }
};

/** An engine with the tree as its image, in a folder of that name; answers its socket. It ends with the undo, and all its containers. */
export const openEngine = async (name: string, tree: string, undo: Undo): Promise<string> => {
  const place = await makeScratch(name);
  const socket = await startEngine(place, undo);
  const tar = join(place, "tree.tar");
  await run("tar", ["-C", tree, "-cf", tar, "."]);
  const connection = await Connection.open(socket);
  try {
    await connection.expect("POST", "/images/create?fromSrc=-&repo=unshared-bench&tag=latest", await readFile(tar));
  } finally {
    connection.close();
  }
  return socket;
};

/** Creates and starts a container with a waiting bash; answers its id. */
export const startContainer = async (connection: Connection): Promise<string> => {
  const { Id } = (await connection.expect("POST", "/containers/create", container)) as { Id: string };
  await connection.expect("POST", `/containers/${Id}/start`);
  return Id;
};
