/**
 * The lifecycle of a sandbox: one table of states x events. The verbs (start, stop, kill, ...) are what callers ask; the facts
 * (started, exited, gone, ...) are what the launcher, the supervisor and the clock say. Nothing else decides what follows.
 */
export const states = ["created", "starting", "running", "paused", "stopping", "stopped", "failed"] as const;
export type State = (typeof states)[number];

export const verbs = ["start", "stop", "kill", "pause", "resume", "delete"] as const;
export const facts = ["started", "launch-failed", "exited", "gone", "lost", "rebooted", "deadline", "given-up", "held"] as const;
export type LifecycleEvent = (typeof verbs)[number] | (typeof facts)[number];

/**
 * What an event does in a state.
 * - `to`: the sandbox changes its state.
 * - `stay`: what is asked is so already, or the fact changes nothing but may carry news (an exit while stopping).
 * - `wait`: something is under way; when it is done the event is applied anew.
 * - `remove`: the sandbox ends to exist.
 * - `refuse`: the caller gets `state-conflict` with this detail.
 * - `ignore`: a fact that comes late; it is logged and changes nothing.
 */
export type Outcome =
  | { act: "to"; state: State }
  | { act: "stay" }
  | { act: "wait" }
  | { act: "remove" }
  | { act: "refuse"; detail: string }
  | { act: "ignore" };

const to = (state: State): Outcome => ({ act: "to", state });
const stay: Outcome = { act: "stay" };
const wait: Outcome = { act: "wait" };
const remove: Outcome = { act: "remove" };
const ignore: Outcome = { act: "ignore" };
const refuse = (detail: string): Outcome => ({ act: "refuse", detail });

const notRunning = (state: State): Outcome => refuse(`the sandbox is ${state}; only a running one can be paused or resumed`);

/** Nothing of it is alive: what `created`, `stopped` and `failed` have in common. */
const atRest = (state: State): Record<LifecycleEvent, Outcome> => ({
  start: to("starting"),
  stop: stay,
  kill: stay,
  pause: notRunning(state),
  resume: notRunning(state),
  delete: remove,
  started: ignore,
  "launch-failed": ignore,
  exited: ignore,
  gone: ignore,
  lost: ignore,
  rebooted: ignore,
  deadline: ignore,
  // Its restarts are used up.
  "given-up": state === "stopped" ? to("failed") : ignore,
  // Something of it cannot be removed yet: here its files.
  held: to("stopping"),
});

export const lifecycle: Readonly<Record<State, Readonly<Record<LifecycleEvent, Outcome>>>> = {
  created: atRest("created"),
  starting: {
    start: wait,
    stop: wait,
    kill: wait,
    pause: notRunning("starting"),
    resume: notRunning("starting"),
    delete: wait,
    started: to("running"),
    "launch-failed": to("failed"),
    exited: ignore,
    gone: ignore,
    lost: to("failed"),
    rebooted: to("failed"),
    deadline: to("failed"),
    "given-up": ignore,
    held: to("stopping"),
  },
  running: {
    start: stay,
    stop: to("stopping"),
    kill: to("stopping"),
    pause: to("paused"),
    resume: stay,
    delete: to("stopping"),
    started: ignore,
    "launch-failed": ignore,
    exited: to("stopping"),
    gone: to("stopped"),
    lost: to("failed"),
    rebooted: to("failed"),
    deadline: ignore,
    "given-up": ignore,
    held: to("stopping"),
  },
  paused: {
    start: refuse("the sandbox is paused; resume it"),
    stop: to("stopping"),
    kill: to("stopping"),
    pause: stay,
    resume: to("running"),
    delete: to("stopping"),
    started: ignore,
    "launch-failed": ignore,
    exited: to("stopping"),
    gone: to("stopped"),
    lost: to("failed"),
    rebooted: to("failed"),
    deadline: ignore,
    "given-up": ignore,
    held: to("stopping"),
  },
  stopping: {
    start: refuse("the sandbox is stopping; start it when it has stopped"),
    stop: stay,
    kill: stay,
    pause: notRunning("stopping"),
    resume: notRunning("stopping"),
    delete: stay,
    started: ignore,
    "launch-failed": ignore,
    exited: stay,
    gone: to("stopped"),
    lost: to("failed"),
    rebooted: to("failed"),
    deadline: to("failed"),
    "given-up": ignore,
    held: to("stopping"),
  },
  stopped: atRest("stopped"),
  failed: atRest("failed"),
};

/** Milliseconds that a state which must pass may last, beyond a grace that the caller chose; null for states that may last for ever. */
export const deadlines: Readonly<Record<State, number | null>> = {
  created: null,
  starting: 15_000,
  running: null,
  paused: null,
  stopping: 15_000,
  stopped: null,
  failed: null,
};

/** Whether something of a sandbox in this state may be alive. */
export const maybeAlive = (state: State): boolean =>
  state === "starting" || state === "running" || state === "paused" || state === "stopping";
