import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "./connection.ts";
import { type Contestant, inLanes } from "./contestant.ts";
import { findProgram, peerLibraries } from "./packages.ts";
import { run, start, stop, until } from "./program.ts";
import { cgroupName, makeScratch } from "./scratch.ts";
import type { Undo } from "./undo.ts";

const container = {
  Image: "unshared-bench:latest",
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

/** Docker Engine over its REST API, the same tree as its image; running when the answer to `start` is there. */
export const openDocker = async (tree: string, undo: Undo): Promise<Contestant> => {
  const place = await makeScratch("docker");
  const socket = await startEngine(place, undo);
  const lanes: Connection[] = [];
  undo.push("close the connections to dockerd", () => {
    for (const connection of lanes) connection.close();
  });
  const lane = async (index: number): Promise<Connection> => (lanes[index] ??= await Connection.open(socket));
  const tar = join(place, "tree.tar");
  await run("tar", ["-C", tree, "-cf", tar, "."]);
  await importImage(await lane(0), tar);
  const begin = async (connection: Connection): Promise<string> => {
    const { Id } = (await connection.expect("POST", "/containers/create", container)) as { Id: string };
    await connection.expect("POST", `/containers/${Id}/start`);
    return Id;
  };
  const end = (connection: Connection, id: string): Promise<unknown> => connection.expect("DELETE", `/containers/${id}?force=true`);
  const warmUp = await begin(await lane(0));
  const report = (await lanes[0]?.expect("GET", `/containers/${warmUp}/json`)) as { State: { Running: boolean } };
  if (!report.State.Running) throw new Error("Docker's container does not run");
  await end(await lane(0), warmUp);
  return {
    name: "docker",
    what: "Docker Engine over its REST API: create, start until answered",
    launchesPerRound: 6,
    pauseMs: 0,
    cyclesPerRound: 16,
    async launch(count, pauseMs) {
      const samples: number[] = [];
      const connection = await lane(0);
      for (let i = 0; i < count; i++) {
        await sleep(pauseMs);
        const began = performance.now();
        const id = await begin(connection);
        samples.push((performance.now() - began) * 1000);
        await end(connection, id);
      }
      return { samples };
    },
    async cycle(count, parallel) {
      for (let i = 0; i < parallel; i++) await lane(i);
      return inLanes(count, parallel, async (index) => {
        const connection = await lane(index);
        await end(connection, await begin(connection));
      });
    },
  };
};

const importImage = async (connection: Connection, tar: string): Promise<void> => {
  await connection.expect("POST", "/images/create?fromSrc=-&repo=unshared-bench&tag=latest", await readFile(tar));
};
