import { type DestinationStream, type LoggerOptions, pino } from "pino";
import pretty from "pino-pretty";
import type { Config } from "./config.ts";

/** Options and destination of the daemon's log: JSON lines on stdout, or lines for people on a terminal. */
export const loggerOptions = ({ logLevel, logFormat }: Pick<Config, "logLevel" | "logFormat">): [LoggerOptions, DestinationStream] => {
  const isPretty = logFormat === "pretty" || (logFormat === "auto" && process.stdout.isTTY === true);
  const options: LoggerOptions = {
    level: logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: ["headers.authorization", "req.headers.authorization", "token"], remove: true },
  };
  if (!isPretty) return [options, pino.destination({ fd: 1, sync: false, minLength: 0 })];
  return [options, pretty({ sync: true, translateTime: "SYS:HH:MM:ss.l", ignore: "room,reqId" })];
};
