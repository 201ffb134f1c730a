/** The composition root: nothing else knows all rooms. */
import { hostname, release } from "node:os";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { Alarm } from "./domain/alarm.ts";
import { Audit } from "./domain/audit.ts";
import { Diagrams } from "./domain/diagrams.ts";
import { EventLog } from "./domain/events.ts";
import { Files } from "./domain/files.ts";
import { deadlines } from "./domain/lifecycle.ts";
import { Lifetimes } from "./domain/lifetimes.ts";
import { LimitPolicy } from "./domain/limits.ts";
import { LiveProcesses } from "./domain/live-processes.ts";
import { SandboxLogs } from "./domain/logs.ts";
import { NamespaceIndex } from "./domain/namespaces.ts";
import { Operations } from "./domain/operations.ts";
import type { PeerScopes } from "./domain/peer-scopes.ts";
import { ProcessRecords } from "./domain/process-records.ts";
import { Processes } from "./domain/processes.ts";
import { SandboxQuotas } from "./domain/quotas.ts";
import { Roots } from "./domain/roots.ts";
import { RunArchives } from "./domain/run-archives.ts";
import { Runs } from "./domain/runs.ts";
import { SandboxOperations } from "./domain/sandbox-operations.ts";
import type { SandboxRoom } from "./domain/sandbox-room.ts";
import { Sandboxes } from "./domain/sandboxes.ts";
import { ScheduleClock } from "./domain/schedule-clock.ts";
import { SandboxStats } from "./domain/stats.ts";
import { Tokens } from "./domain/tokens.ts";
import { Turns } from "./domain/turns.ts";
import { Visibility } from "./domain/visibility.ts";
import { Webhooks } from "./domain/webhooks.ts";
import { HostCgroupProcesses } from "./host/cgroup-processes.ts";
import { HostCgroupUsage } from "./host/cgroup-usage.ts";
import { DaemonInfo } from "./host/daemon-info.ts";
import { HostDisks } from "./host/disks.ts";
import { PrometheusMeasurements } from "./host/measurements.ts";
import { HostPreflight } from "./host/preflight.ts";
import { Proc } from "./host/proc.ts";
import { HostRootBuilder } from "./host/root-builder.ts";
import { HostRootListings } from "./host/root-listing.ts";
import { StateArchiveFolder } from "./host/run-archive-folder.ts";
import { webhookSender } from "./host/webhook-sender.ts";
import { ConnectionLimits } from "./http/connection-limits.ts";
import { version } from "./http/documentation.ts";
import type { Services } from "./http/services.ts";
import { AuditTable } from "./store/audit.ts";
import { DatabaseBackups } from "./store/backups.ts";
import { Database } from "./store/database.ts";
import { EventStore } from "./store/events.ts";
import { IdempotencyTable } from "./store/idempotency.ts";
import { SqlOperationStore } from "./store/operations.ts";
import { ProcessTable } from "./store/processes.ts";
import { SqlRootStore } from "./store/roots.ts";
import { RunTable } from "./store/runs.ts";
import { SandboxTable } from "./store/sandboxes.ts";
import { TokenTable } from "./store/tokens.ts";
import { WebhookTable } from "./store/webhooks.ts";
import { FileAgentClients } from "./supervisor/file-agents.ts";
import { LauncherClient } from "./supervisor/launcher.ts";
import { OutputLogs } from "./supervisor/output-logs.ts";
import { ProcessClients } from "./supervisor/processes.ts";
import { SupervisorClients } from "./supervisor/supervisors.ts";

/** All rooms, joined, before anything is recovered or listens. What the routes do not call is beside `services`. */
export interface Rooms {
  services: Services;
  room: SandboxRoom;
  database: Database;
  launcher: LauncherClient;
  info: DaemonInfo;
  /** What is kept for a time only. */
  journals: { keepPruned(signal: AbortSignal): void }[];
}

/** Opens the database and builds each room with what it needs of the others. @param peerScopes null: there are no rules about users of the socket */
export const buildRooms = (config: Config, peerScopes: PeerScopes | null, logger: Logger): Rooms => {
  const database = new Database(`${config.stateDir}/state.db`);
  const events = new EventStore(database);
  const store = new SandboxTable(database);
  const processTable = new ProcessTable(database);
  const proc = new Proc();
  const bootId = proc.bootId();
  const launcher = new LauncherClient(
    { program: config.supervisor, ...config, launchMilliseconds: deadlines.starting ?? 0 },
    logger.child({ room: "launcher" }),
  );
  const supervisors = new SupervisorClients(config.runDir, logger.child({ room: "supervisors" }));
  const operationStore = new SqlOperationStore(database);
  const operations = new Operations(operationStore, database, logger.child({ room: "operations" }));
  const roots = new Roots({
    store: new SqlRootStore(database),
    builder: new HostRootBuilder(config.stateDir),
    operations,
    persistence: database,
    events,
    logger: logger.child({ room: "roots" }),
  });
  const runTable = new RunTable(database);
  const measurements = new PrometheusMeasurements({ launcher, sandboxes: store, runs: runTable, operations: operationStore, database });
  database.measure(measurements);
  const tokens = new Tokens(new TokenTable(database), events, database);
  const alarm = new Alarm();
  const room: SandboxRoom = {
    store,
    events,
    persistence: database,
    launcher,
    supervisors,
    roots,
    disks: new HostDisks(config.stateDir),
    measurements,
    limits: new LimitPolicy(config.defaultLimits, config.maxLimits),
    quotas: new SandboxQuotas((id) => peerScopes?.quotasOf(id) ?? tokens.quotasOf(id), store),
    redefining: new Turns(),
    alarm,
    clock: new ScheduleClock(store, database, alarm, logger.child({ room: "sandboxes" }), bootId),
    records: new ProcessRecords({
      processes: processTable,
      events,
      persistence: database,
      log: logger.child({ room: "processes" }),
      bootId,
    }),
    log: logger.child({ room: "sandboxes" }),
    bootId,
  };
  const outputLogs = new OutputLogs(config.stateDir);
  const sandboxes = new Sandboxes(room);
  const sandboxOperations = new SandboxOperations(operations, sandboxes, store, database);
  const lifetimes = new Lifetimes(room, sandboxes);
  const files = new Files(room, sandboxes, new FileAgentClients(config.runDir));
  const processes = new Processes({
    ...room,
    processes: processTable,
    processSupervisors: new ProcessClients(supervisors),
    logs: outputLogs,
  });
  const logs = new SandboxLogs(room, outputLogs, events);
  const liveProcesses = new LiveProcesses(room, processTable, new HostCgroupProcesses());
  const stats = new SandboxStats(room, new HostCgroupUsage());
  const runs = new Runs({
    stats,
    archives: new RunArchives(new StateArchiveFolder(config.stateDir), logger.child({ room: "runs" })),
    sandboxes,
    processes,
    files,
    roots,
    store: runTable,
    measurements,
    persistence: database,
    concurrency: config.runConcurrency,
    queueLength: config.runQueue,
    log: logger.child({ room: "runs" }),
  });
  const namespaces = new NamespaceIndex(store, proc, () => launcher.lastFacts()?.hostInodes ?? null);
  const diagrams = new Diagrams({
    room,
    processes: liveProcesses,
    listings: new HostRootListings(),
    host: { name: hostname(), kernel: release() },
  });
  const webhooks = new Webhooks({
    store: new WebhookTable(database),
    events,
    persistence: database,
    sandboxes: store,
    sender: webhookSender,
    measurements,
    log: logger.child({ room: "webhooks" }),
  });
  const eventLog = new EventLog(events, store, database);
  const auditTable = new AuditTable(database);
  const audit = new Audit(auditTable, store, database, logger.child({ room: "audit" }));
  const info = new DaemonInfo({
    config,
    version,
    sqlite: database.sqliteVersion(),
    bootId,
    launcher,
    store,
    preflight: new HostPreflight(launcher, config.stateDir),
  });

  const connectionLimits = new ConnectionLimits(config.clientSeconds * 1000, (reason) => {
    measurements.connectionCut(reason);
    logger.info({ reason }, "a client's connection was cut off");
  });
  const services: Services = {
    sandboxes,
    sandboxOperations,
    lifetimes,
    files,
    archiveLimits: { entries: 100_000, bytes: config.archiveBytes },
    roots,
    operations,
    processes,
    liveProcesses,
    runs,
    namespaces,
    diagrams,
    stats,
    eventLog,
    audit,
    peers: launcher,
    backups: new DatabaseBackups(config.stateDir),
    logs,
    info,
    measurements,
    idempotency: new IdempotencyTable(database),
    visibility: new Visibility(store, runs, operations),
    tokens,
    webhooks,
    connectionLimits,
    logger,
  };
  return { services, room, database, launcher, info, journals: [events, auditTable] };
};
