import { Ajv } from "ajv";
import { type Static, Type } from "typebox";
import { DomainError } from "../domain/errors.ts";
import { ResizeBody, SignalBody } from "./schemas/processes.ts";

const strict = { additionalProperties: false } as const;
const Resize = Type.Object({ type: Type.Literal("resize"), ...ResizeBody.properties }, strict);
const Signal = Type.Object({ type: Type.Literal("signal"), ...SignalBody.properties }, strict);

/** What a viewer of a terminal can say in a text frame. */
export type TerminalControl = Static<typeof Resize> | Static<typeof Signal>;

// It compiles a schema when it is first used.
const ajv = new Ajv({ strict: false, meta: false, validateSchema: false });
const schemas = { resize: Resize, signal: Signal };

/** @throws DomainError `invalid-request` for what is no control message */
export const terminalControlOf = (text: string): TerminalControl => {
  let message: { type?: unknown } | null = null;
  try {
    message = JSON.parse(text);
  } catch {
    throw new DomainError("invalid-request", "a text frame is JSON");
  }
  const type = message?.type;
  if (type !== "resize" && type !== "signal") throw new DomainError("invalid-request", 'the type of a text frame is "resize" or "signal"');
  if (!ajv.validate(schemas[type], message))
    throw new DomainError("invalid-request", `the message does not fit its schema: ${ajv.errorsText()}`);
  return message as TerminalControl;
};
