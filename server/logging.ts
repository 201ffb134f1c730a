import { type DestinationStream, type LoggerOptions, pino } from "pino";
import type { Config } from "./config.ts";

const flushMilliseconds = 50;

/** Stdout in blocks, and what is left over a moment later: pino's own `periodicFlush` would wake an idle daemon twenty times a second. */
const gathered = () => {
  const destination = pino.destination({ fd: 1, sync: false, minLength: 4096 });
  const write = destination.write.bind(destination);
  let timer: NodeJS.Timeout | null = null;
  const flush = (): void => {
    timer = null;
    destination.flush();
  };
  destination.write = (line) => {
    if (timer === null) timer = setTimeout(flush, flushMilliseconds).unref();
    return write(line);
  };
  return destination;
};

/**
 * Options and destination of the daemon's log: JSON lines on stdout, or lines for people on a terminal.
 * JSON lines are gathered for at most 50 ms into one write(2); what is left is written when the process ends, and a fatal one at once.
 */
export const loggerOptions = async ({
  logLevel,
  logFormat,
}: Pick<Config, "logLevel" | "logFormat">): Promise<[LoggerOptions, DestinationStream]> => {
  const isPretty = logFormat === "pretty" || (logFormat === "auto" && process.stdout.isTTY === true);
  const options: LoggerOptions = {
    level: logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: ["headers.authorization", "req.headers.authorization", "token"], remove: true },
  };
  if (!isPretty) return [options, gathered()];
  const { default: pretty } = await import("pino-pretty");
  return [options, pretty({ sync: true, translateTime: "SYS:HH:MM:ss.l", ignore: "room,reqId" })];
};
