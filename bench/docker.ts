import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "./connection.ts";
import { type Contestant, inLanes } from "./contestant.ts";
import { openEngine, startContainer } from "./docker-engine.ts";
import type { Undo } from "./undo.ts";

/** Docker Engine over its REST API, the same tree as its image; running when the answer to `start` is there. */
export const openDocker = async (tree: string, undo: Undo): Promise<Contestant> => {
  const socket = await openEngine("docker", tree, undo);
  const lanes: Connection[] = [];
  undo.push("close the connections to dockerd", () => {
    for (const connection of lanes) connection.close();
  });
  const lane = async (index: number): Promise<Connection> => (lanes[index] ??= await Connection.open(socket));
  const end = (connection: Connection, id: string): Promise<unknown> => connection.expect("DELETE", `/containers/${id}?force=true`);
  const warmUp = await startContainer(await lane(0));
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
        const id = await startContainer(connection);
        samples.push((performance.now() - began) * 1000);
        await end(connection, id);
      }
      return { samples };
    },
    async cycle(count, parallel) {
      for (let i = 0; i < parallel; i++) await lane(i);
      return inLanes(count, parallel, async (index) => {
        const connection = await lane(index);
        await end(connection, await startContainer(connection));
      });
    },
  };
};
