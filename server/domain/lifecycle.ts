export const states = ["created", "starting", "running", "paused", "stopping", "stopped", "failed"] as const;
export type State = (typeof states)[number];
