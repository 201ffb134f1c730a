/**
 * Loaded before the daemon (node --import): counts every step by which it reaches the world outside its own memory, and kills it with -9 at
 * the one that UNSHARED_CRASH_AT names. Steps are counted once the file UNSHARED_CRASH_ARM exists; the last name of a step that was reached,
 * with its number, is written there.
 *
 * A step is: before and after each commit, before and after each sync of the log, before each message to launcher or supervisor, at each
 * reply and event of theirs, and before each answer to a client.
 */
import { existsSync, writeFileSync } from "node:fs";
import { ServerResponse } from "node:http";
import { Database } from "../../server/store/database.ts";
import { Connection } from "../../server/supervisor/connection.ts";

const at = Number(process.env["UNSHARED_CRASH_AT"]);
const arm = process.env["UNSHARED_CRASH_ARM"];
let count = 0;

const step = (name) => {
  if (!existsSync(arm)) return;
  count += 1;
  if (count === at) process.kill(process.pid, "SIGKILL");
  writeFileSync(arm, `${count} ${name}`);
};

const { transaction, durable } = Database.prototype;
let depth = 0;
Database.prototype.transaction = function (work) {
  if (depth > 0) return transaction.call(this, work);
  depth += 1;
  try {
    step("before a commit");
    const result = transaction.call(this, work);
    step("after a commit");
    return result;
  } finally {
    depth -= 1;
  }
};
Database.prototype.durable = function () {
  step("before a sync");
  return durable.call(this).then(() => step("after a sync"));
};

const { open } = Connection;
Connection.open = async (path) => {
  step("before connecting");
  const connection = await open(path);
  let onEvent = connection.onEvent;
  Object.defineProperty(connection, "onEvent", {
    get: () => onEvent,
    set: (handler) => {
      onEvent = (message) => {
        step(`event ${message.name}`);
        handler(message);
      };
    },
  });
  return connection;
};
const { request } = Connection.prototype;
Connection.prototype.request = function (name, ...rest) {
  step(`before ${name}`);
  const reply = request.call(this, name, ...rest);
  step(`sent ${name}`);
  return reply.finally(() => step(`reply to ${name}`));
};

const { writeHead } = ServerResponse.prototype;
ServerResponse.prototype.writeHead = function (...rest) {
  step("before an answer");
  return writeHead.apply(this, rest);
};
