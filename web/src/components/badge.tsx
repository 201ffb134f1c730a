import type { api } from "../../../client/browser.ts";

type Tone = "good" | "busy" | "bad" | "warn" | "plain";

const tones: Readonly<Record<api.Sandbox["status"]["state"], Tone>> = {
  created: "plain",
  starting: "busy",
  running: "good",
  paused: "warn",
  stopping: "busy",
  stopped: "plain",
  failed: "bad",
};

export const Badge = ({ tone = "plain", children }: { tone?: Tone; children: string }) => <span class={`badge ${tone}`}>{children}</span>;

export const StateBadge = ({ state }: { state: api.Sandbox["status"]["state"] }) => <Badge tone={tones[state]}>{state}</Badge>;
