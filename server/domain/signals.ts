import { constants } from "node:os";
import { DomainError } from "./errors.ts";

/** The first real-time signal that programs may use; glibc keeps 32 and 33 for itself (signal(7)). */
const firstRealTime = 34;

/** `SIGUSR1`, `USR1`, `SIGRTMIN+3` or a number from 1 to 64, as a number. @throws DomainError `invalid-request` */
export const signalNumber = (signal: string | number): number => {
  if (typeof signal === "number") return signal;
  const name = signal.startsWith("SIG") ? signal : `SIG${signal}`;
  const realTime = /^SIGRTMIN(?:\+(\d{1,2}))?$/.exec(name);
  const number = realTime === null ? constants.signals[name as NodeJS.Signals] : firstRealTime + Number(realTime[1] ?? 0);
  if (number === undefined || number > 64)
    throw new DomainError("invalid-request", `there is no signal "${signal}"`, {
      faults: [{ pointer: "/signal", detail: "is no name of a signal" }],
    });
  return number;
};
