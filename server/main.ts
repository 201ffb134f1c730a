/** The life of the process: recovers, listens, shuts down. What it is built of is in rooms.ts. */
import { flushCompileCache } from "node:module";
import { type Logger, pino } from "pino";
import { type Config, helpText, readConfig } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { PeerScopes } from "./domain/peer-scopes.ts";
import { logChecks } from "./domain/preflight.ts";
import { Recovery } from "./domain/recovery.ts";
import { digestOf } from "./domain/tokens.ts";
import { groupId, numberedRules } from "./host/accounts.ts";
import { ActivationError, activatedSocket } from "./host/activation.ts";
import { DirectoryError, doubtsAbout, ensureRunDirectory, ensureStateDirectory } from "./host/directories.ts";
import { releaseStartMemory } from "./host/memory.ts";
import { StateDirectories } from "./host/sandbox-directories.ts";
import { ServiceManager } from "./host/service-manager.ts";
import { readTls, renewOnHangup } from "./host/tls-files.ts";
import { ensureToken } from "./host/token.ts";
import type { AccessPolicy } from "./http/access.ts";
import { buildApp } from "./http/app.ts";
import { version } from "./http/documentation.ts";
import { Listeners, SocketTakenError } from "./http/listeners.ts";
import { loggerOptions } from "./logging.ts";
import { buildRooms } from "./rooms.ts";
import { DaemonLock, LockedError } from "./store/daemon-lock.ts";

/** Milliseconds that running requests get to finish after TERM, and that the whole end may take. */
const finishMilliseconds = 3_000;
const endMilliseconds = 4_500;

const run = async (config: Config, logger: Logger): Promise<void> => {
  const handedOver = activatedSocket(process.env, process.pid);
  const serviceManager = new ServiceManager(config.supervisor, process.env, process.pid);
  serviceManager.status("taking stock of what runs");
  const gid = groupId("unshared");
  ensureStateDirectory(config.stateDir);
  const locks = [new DaemonLock(config.stateDir)];
  ensureRunDirectory(config.runDir, gid);
  locks.push(new DaemonLock(config.runDir, "run"));
  for (const doubt of [...doubtsAbout(config.stateDir), ...doubtsAbout(config.runDir)]) logger.warn(doubt);
  const token = ensureToken(config.tokenFile);
  const tls = config.tls && readTls(config.tls);
  const peerScopes = config.peerScopes.length === 0 ? null : new PeerScopes(numberedRules(config.peerScopes));

  const { room, database, launcher, info, journals, services } = buildRooms(config, peerScopes, logger);
  const { sandboxes, sandboxOperations, operations, roots, runs, lifetimes, webhooks } = services;

  const fromUnix: AccessPolicy["fromUnix"] = new WeakSet();
  const access: AccessPolicy = { fromUnix, peerScopes, tokenDigest: digestOf(token), tcp: null };
  const app = await buildApp(services, access);
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
  for (const journal of journals) journal.keepPruned(pruning.signal);

  releaseStartMemory();
  const listeners = new Listeners(app, fromUnix, services.connectionLimits);
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
    services.processes.outputs.close();
    services.eventLog.close();
    services.audit.close();
    services.logs.close();
    pruning.abort();
    setTimeout(() => process.exit(1), endMilliseconds).unref();
    await Promise.all([listeners.close(finishMilliseconds), operations.shutDown(), runsEnded, lifetimes.shutDown(), webhooks.shutDown()]);
    await app.close();
    await services.files.shutDown();
    room.supervisors.close();
    await launcher.close();
    services.audit.flush();
    await database.close();
    for (const lock of locks) lock.release();
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
