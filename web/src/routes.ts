import type { ComponentType } from "preact";
import type { IconName } from "./components/icon.tsx";

export interface PageProps {
  /** What follows the page's own segment in the address, decoded. */
  rest: readonly string[];
}

export interface Route {
  /** First segment of the address; the overview has none. */
  segment: string;
  title: string;
  icon: IconName;
  /** Each page is a chunk of its own. */
  load: () => Promise<ComponentType<PageProps>>;
}

/** The pages in the order of the navigation. */
export const routes: readonly Route[] = [
  { segment: "", title: "Overview", icon: "overview", load: async () => (await import("./pages/overview.tsx")).OverviewPage },
  { segment: "sandboxes", title: "Sandboxes", icon: "sandboxes", load: async () => (await import("./pages/sandboxes.tsx")).SandboxesPage },
  { segment: "runs", title: "Runs", icon: "runs", load: async () => (await import("./pages/runs.tsx")).RunsPage },
  { segment: "roots", title: "Roots", icon: "roots", load: async () => (await import("./pages/roots.tsx")).RootsPage },
  { segment: "events", title: "Events", icon: "events", load: async () => (await import("./pages/events.tsx")).EventsPage },
  { segment: "tokens", title: "Tokens", icon: "tokens", load: async () => (await import("./pages/tokens.tsx")).TokensPage },
  { segment: "host", title: "Host", icon: "host", load: async () => (await import("./pages/host.tsx")).HostPage },
];
