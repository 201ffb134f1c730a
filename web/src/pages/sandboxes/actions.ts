/** What can be done to a sandbox, in which state, and how it is said. */
import type { api, Client } from "../../../../client/browser.ts";
import type { IconName } from "../../components/icon.tsx";
import { attempt } from "../../components/toasts.tsx";
import { putSandbox } from "../../live.ts";
import { session } from "../../session.ts";

type State = api.Sandbox["status"]["state"];

export interface Action {
  name: "start" | "stop" | "kill" | "pause" | "resume" | "restart" | "delete";
  title: string;
  /** Said when it is done, behind the name of the sandbox. */
  done: string;
  icon: IconName;
  isDanger: boolean;
  from: readonly State[];
  work: (client: Client, id: string) => Promise<unknown>;
}

const live: readonly State[] = ["starting", "running", "paused", "stopping"];
const still: readonly State[] = ["created", "stopped", "failed"];
const of = (client: Client, id: string) => client.sandboxes.get(id);

export const actions: readonly Action[] = [
  {
    name: "start",
    title: "Start",
    done: "runs",
    icon: "play",
    isDanger: false,
    from: still,
    work: async (client, id) => (await of(client, id)).start(),
  },
  {
    name: "stop",
    title: "Stop",
    done: "is stopped",
    icon: "stop",
    isDanger: false,
    from: ["running", "paused"],
    work: async (client, id) => (await of(client, id)).stop({ graceSeconds: 5 }),
  },
  {
    name: "kill",
    title: "Kill",
    done: "is killed",
    icon: "kill",
    isDanger: true,
    from: live,
    work: async (client, id) => (await of(client, id)).kill(),
  },
  {
    name: "pause",
    title: "Pause",
    done: "is paused",
    icon: "pause",
    isDanger: false,
    from: ["running"],
    work: async (client, id) => (await of(client, id)).pause(),
  },
  {
    name: "resume",
    title: "Resume",
    done: "runs on",
    icon: "play",
    isDanger: false,
    from: ["paused"],
    work: async (client, id) => (await of(client, id)).resume(),
  },
  {
    name: "restart",
    title: "Restart",
    done: "was started anew",
    icon: "restart",
    isDanger: false,
    from: ["running"],
    work: async (client, id) => (await of(client, id)).restart({ graceSeconds: 5 }),
  },
  {
    name: "delete",
    title: "Delete",
    done: "is deleted",
    icon: "trash",
    isDanger: true,
    from: [...live, ...still],
    work: (client, id) => client.sandboxes.delete(id),
  },
];

/** Does it to one, says what became of it, and shows the new state at once. */
export const perform = async (action: Action, sandbox: api.Sandbox): Promise<boolean> => {
  const client = session.value;
  const isDone = await attempt(() => action.work(client, sandbox.id), `${sandbox.name} ${action.done}`);
  if (isDone && action.name === "delete") putSandbox(sandbox.id, null);
  return isDone;
};
