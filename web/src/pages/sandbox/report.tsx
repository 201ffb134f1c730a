import type { api } from "../../../../client/browser.ts";
import { Badge } from "../../components/badge.tsx";
import { Copyable } from "../../components/copy.tsx";
import { KeyValues } from "../../components/key-values.tsx";
import { Card } from "../../components/page.tsx";
import { Loaded } from "../../components/states.tsx";
import { Table } from "../../components/table.tsx";
import { formatBytes, formatCommand, formatMilliseconds, formatSeconds, formatTime } from "../../format.ts";
import { useResource } from "../../resource.ts";
import { StatsCharts } from "./charts.tsx";
import { Receipt } from "./receipt.tsx";

const isAlive = ({ status }: api.Sandbox): boolean => ["starting", "running", "paused", "stopping"].includes(status.state);

/** What it is, what it uses, and what came of it. */
export const ReportTab = ({ sandbox }: { sandbox: api.Sandbox }) => (
  <div class="stack">
    {sandbox.process !== null && <StatsCharts id={sandbox.id} key={sandbox.process.startTicks} />}
    <div class="columns">
      {!isAlive(sandbox) && sandbox.startedAt !== null && <LastReceipt sandbox={sandbox} />}
      <Card title="Instance">
        <Instance sandbox={sandbox} />
      </Card>
      <Card title="Definition">
        <DefinitionValues sandbox={sandbox} />
      </Card>
    </div>
    {sandbox.namespaces !== null && (
      <Card title="Namespaces">
        <Namespaces namespaces={sandbox.namespaces} />
      </Card>
    )}
  </div>
);

const LastReceipt = ({ sandbox }: { sandbox: api.Sandbox }) => {
  const receipt = useResource(
    (client, signal) => client.call("getSandboxReceipt", { path: { sandbox: sandbox.id } }, { signal }),
    [sandbox.id, sandbox.status.since],
  );
  return (
    <Card title="What its end released">
      <Loaded resource={receipt} lines={2}>
        {(value) => <Receipt receipt={value} />}
      </Loaded>
    </Card>
  );
};

const Instance = ({ sandbox }: { sandbox: api.Sandbox }) => {
  const { process, supervisor, ids, exit, phases, lifetime, restart, enter } = sandbox;
  return (
    <KeyValues
      items={[
        ["Id", <Copyable key="id" text={sandbox.id} label="Copy the id" />],
        ["From the host", enter && <Copyable key="enter" text={enter} label="Copy the command" />],
        ["Process", process && `${process.pid} on the host, ${process.pidInside} inside`],
        ["Supervisor", supervisor && String(supervisor.pid)],
        ["Host ids", ids && `${ids.hostUidBase} to ${ids.hostUidBase + ids.size - 1}`],
        ["Started", sandbox.startedAt && formatTime(sandbox.startedAt)],
        ["Launched in", phases.length > 0 && formatMilliseconds(phases.reduce((sum, { microseconds }) => sum + microseconds, 0) / 1_000)],
        [
          "Phases",
          phases.length > 0 && phases.map(({ name, microseconds }) => `${name} ${formatMilliseconds(microseconds / 1_000)}`).join(", "),
        ],
        [
          "Ended",
          exit &&
            `${exit.reason}${exit.code === null ? "" : ` with ${exit.code}`}${exit.signal ? ` by ${exit.signal}` : ""}, ${formatTime(exit.exitedAt)}`,
        ],
        ["Ran for", exit && `${formatMilliseconds(exit.durationMs)}, CPU ${formatSeconds(exit.userCpuSeconds + exit.systemCpuSeconds)}`],
        ["Expires", lifetime.expiresAt && formatTime(lifetime.expiresAt)],
        ["Idle until", lifetime.idleExpiresAt && formatTime(lifetime.idleExpiresAt)],
        ["Restarts", restart.count > 0 && `${restart.count} in a row`],
        ["Made", formatTime(sandbox.createdAt)],
        ["Owner", sandbox.owner],
      ].filter((pair): pair is [string, string] => pair[1] !== false)}
    />
  );
};

const DefinitionValues = ({ sandbox }: { sandbox: api.Sandbox }) => {
  const { command, env, cwd, user, hostname, limits, capabilities, restart, lifetime, network, tty } = sandbox.definition;
  const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return (
    <KeyValues
      items={[
        ["Command", <code key="command">{formatCommand(command)}</code>],
        ["Root", sandbox.root?.name],
        ["Host name", hostname],
        ["Directory", <code key="cwd">{cwd}</code>],
        ["User", `${user.uid}:${user.gid}`],
        ["Environment", environment.length > 0 && <code key="env">{environment.join(" ")}</code>],
        ["Terminal", tty ? "of its own" : null],
        ["Memory", limits.memoryBytes === null ? "no limit" : formatBytes(limits.memoryBytes)],
        ["CPUs", limits.cpus === null ? "no limit" : String(limits.cpus)],
        ["Processes", String(limits.pids)],
        ["Disk", limits.diskBytes === null ? null : formatBytes(limits.diskBytes)],
        ["Network", network.mode],
        ["Capabilities", capabilities.length > 0 ? capabilities.join(", ") : "none"],
        ["Restart", restart.policy],
        ["Lifetime", lifetime.ttlSeconds === null ? null : `${formatSeconds(lifetime.ttlSeconds)}, then ${lifetime.onExpiry}`],
        [
          "Labels",
          Object.entries(sandbox.labels)
            .map((pair) => pair.join("="))
            .join(", "),
        ],
      ].filter((pair): pair is [string, string] => pair[1] !== false)}
    />
  );
};

const Namespaces = ({ namespaces }: { namespaces: NonNullable<api.Sandbox["namespaces"]> }) => (
  <Table
    label="Namespaces"
    items={Object.entries(namespaces)}
    keyOf={([type]) => type}
    columns={[
      { title: "Type", cell: ([type]) => <strong>{type}</strong> },
      { title: "Inode", numeric: true, cell: ([, { inode }]) => <code>{inode}</code> },
      { title: "The host's", numeric: true, cell: ([, { hostInode }]) => <code>{hostInode ?? "–"}</code> },
      {
        title: "Isolated",
        cell: ([, { isolated }]) => <Badge tone={isolated ? "good" : "warn"}>{isolated ? "its own" : "the host's"}</Badge>,
      },
      { title: "Path", minor: true, cell: ([, { path }]) => <code>{path}</code> },
    ]}
  />
);
