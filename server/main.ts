/** The composition root: builds the rooms, recovers, listens, shuts down. Nothing else knows all of them. */
import { flushCompileCache } from "node:module";
import { hostname, release } from "node:os";
import { type Logger, pino } from "pino";
import { type Config, helpText, readConfig } from "./config.ts";
import { ConfigError } from "./config-error.ts";
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
import { PeerScopes } from "./domain/peer-scopes.ts";
import { logChecks } from "./domain/preflight.ts";
import { ProcessRecords } from "./domain/process-records.ts";
import { Processes } from "./domain/processes.ts";
import { SandboxQuotas } from "./domain/quotas.ts";
import { Recovery } from "./domain/recovery.ts";
import { Roots } from "./domain/roots.ts";
import { RunArchives } from "./domain/run-archives.ts";
import { Runs } from "./domain/runs.ts";
import { SandboxOperations } from "./domain/sandbox-operations.ts";
import type { SandboxRoom } from "./domain/sandbox-room.ts";
import { Sandboxes } from "./domain/sandboxes.ts";
import { SandboxStats } from "./domain/stats.ts";
import { digestOf, Tokens } from "./domain/tokens.ts";
import { Turns } from "./domain/turns.ts";
import { Visibility } from "./domain/visibility.ts";
import { Webhooks } from "./domain/webhooks.ts";
import { groupId, numberedRules } from "./host/accounts.ts";
import { ActivationError, activatedSocket } from "./host/activation.ts";
import { HostCgroupProcesses } from "./host/cgroup-processes.ts";
import { HostCgroupUsage } from "./host/cgroup-usage.ts";
import { DaemonInfo } from "./host/daemon-info.ts";
import { DirectoryError, ensureRunDirectory, ensureStateDirectory } from "./host/directories.ts";
import { HostDisks } from "./host/disks.ts";
import { PrometheusMeasurements } from "./host/measurements.ts";
import { releaseStartMemory } from "./host/memory.ts";
import { HostPreflight } from "./host/preflight.ts";
import { Proc } from "./host/proc.ts";
import { HostRootBuilder } from "./host/root-builder.ts";
import { HostRootListings } from "./host/root-listing.ts";
import { StateArchiveFolder } from "./host/run-archive-folder.ts";
import { StateDirectories } from "./host/sandbox-directories.ts";
import { ServiceManager } from "./host/service-manager.ts";
import { readTls, renewOnHangup } from "./host/tls-files.ts";
import { ensureToken } from "./host/token.ts";
import { webhookSender } from "./host/webhook-sender.ts";
import type { AccessPolicy } from "./http/access.ts";
import { buildApp } from "./http/app.ts";
import { ConnectionLimits } from "./http/connection-limits.ts";
import { version } from "./http/documentation.ts";
import { Listeners, SocketTakenError } from "./http/listeners.ts";
import { loggerOptions } from "./logging.ts";
import { AuditTable } from "./store/audit.ts";
import { DatabaseBackups } from "./store/backups.ts";
import { DaemonLock, LockedError } from "./store/daemon-lock.ts";
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

/** Milliseconds that running requests get to finish after TERM, and that the whole end may take. */
const finishMilliseconds = 3_000;
const endMilliseconds = 4_500;

const run = async (config: Config, logger: Logger): Promise<void> => {
  const handedOver = activatedSocket(process.env, process.pid);
  const serviceManager = new ServiceManager(config.supervisor, process.env, process.pid);
  serviceManager.status("taking stock of what runs");
  const gid = groupId("unshared");
  ensureStateDirectory(config.stateDir);
  const lock = new DaemonLock(config.stateDir);
  ensureRunDirectory(config.runDir, gid);
  const token = ensureToken(config.tokenFile);
  const tls = config.tls && readTls(config.tls);
  const peerScopes = config.peerScopes.length === 0 ? null : new PeerScopes(numberedRules(config.peerScopes));

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
    alarm: new Alarm(),
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
  const fromUnix: AccessPolicy["fromUnix"] = new WeakSet();
  const access: AccessPolicy = { fromUnix, peerScopes, tokenDigest: digestOf(token), tcp: null };
  const app = await buildApp(
    {
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
    },
    access,
  );
  await app.ready();

  logChecks(logger, await info.preflight());
  const recovery = await new Recovery(room, sandboxes.instances, new StateDirectories(config.stateDir)).run();
  logger.info({ recovery }, "recovered");
  operations.recover((row) => sandboxOperations.resumed(row));
  await sandboxes.resumeRemovals();
  await roots.recover({ defaultRoot: config.defaultRoot });
  await runs.recover();
  info.recovered(recovery);

  const pruning = new AbortController();
  for (const journal of [events, auditTable]) journal.keepPruned(pruning.signal);

  releaseStartMemory();
  const listeners = new Listeners(app, fromUnix, connectionLimits);
  try {
    if (handedOver === null) await listeners.openUnix(config.socket, gid);
    else await listeners.adoptUnix(handedOver);
    if (config.listen !== null) {
      const { host } = config.listen;
      access.tcp = { host, port: await listeners.openTcp(host, config.listen.port, tls), isNamed: tls?.isNamed ?? null };
    }
  } catch (error) {
    // The launcher that was started for the checks above would outlive a daemon that nobody can ask.
    await Promise.all([listeners.close(0), operations.shutDown(), runs.shutDown()]);
    await launcher.close();
    throw error;
  }
  logger.info({ socket: handedOver === null ? config.socket : "handed over", tcp: access.tcp, pid: process.pid, version }, "listening");
  serviceManager.ready(`serving${access.tcp === null ? "" : `, also on ${access.tcp.host}:${access.tcp.port}`}`);

  lifetimes.begin();
  webhooks.begin();
  // Node writes it at a clean end; a daemon that is killed would leave the next one to compile everything again.
  setTimeout(flushCompileCache, 1_000).unref();
  if (config.tls !== null)
    renewOnHangup(config.tls, logger, (renewed) => {
      listeners.renew(renewed);
      if (access.tcp !== null) access.tcp.isNamed = renewed.isNamed;
    });

  let ending = false;
  const end = async (signal: string): Promise<void> => {
    if (ending) return;
    ending = true;
    logger.info({ signal }, "shutting down; sandboxes run on");
    serviceManager.stopping();
    info.shutDown();
    const runsEnded = runs.shutDown();
    processes.outputs.close();
    eventLog.close();
    audit.close();
    logs.close();
    pruning.abort();
    setTimeout(() => process.exit(1), endMilliseconds).unref();
    await Promise.all([listeners.close(finishMilliseconds), operations.shutDown(), runsEnded, lifetimes.shutDown(), webhooks.shutDown()]);
    await app.close();
    await files.shutDown();
    supervisors.close();
    await launcher.close();
    audit.flush();
    await database.close();
    lock.release();
    logger.info("ended");
    process.exit(0);
  };
  process.on("SIGTERM", (signal) => void end(signal));
  process.on("SIGINT", (signal) => void end(signal));
};

/** Errors whose message is all that the operator needs. */
const isExpected = (error: unknown): boolean =>
  error instanceof LockedError ||
  error instanceof DirectoryError ||
  error instanceof SocketTakenError ||
  error instanceof ActivationError ||
  (error as NodeJS.ErrnoException).code === "EADDRINUSE";

/** Reads the settings and runs the daemon, or prints what was asked for. Ends the process with 2 for a bad setting, 1 where it cannot start. */
const main = async (): Promise<void> => {
  let request: ReturnType<typeof readConfig>;
  try {
    request = readConfig(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`unshared: ${error.message}\n`);
    process.exit(2);
  }
  if (request.kind === "help") return void process.stdout.write(helpText());
  if (request.kind === "version") return void process.stdout.write(`${version}\n`);
  const logger = pino(...(await loggerOptions(request.config)));
  try {
    await run(request.config, logger);
  } catch (error) {
    if (isExpected(error)) logger.fatal((error as Error).message);
    else logger.fatal({ err: error }, `the daemon cannot start: ${(error as Error).message}`);
    process.exit(1);
  }
};

await main();
