import { type DestinationStream, type LoggerOptions, pino } from "pino";
import type { Config } from "./config.ts";
import { LogDestination } from "./log-destination.ts";

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
  if (!isPretty) return [options, new LogDestination(1)];
  const { default: pretty } = await import("pino-pretty");
  return [options, pretty({ sync: true, translateTime: "SYS:HH:MM:ss.l", ignore: "room,reqId" })];
};
