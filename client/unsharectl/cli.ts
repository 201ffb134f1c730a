import { readFileSync } from "node:fs";
import { CommanderError } from "commander";
import { exitCodes } from "./exit-codes.ts";
import { tellFailure } from "./failures.ts";
import { buildProgram, type Session } from "./program.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };

/** Who reads the output may leave, as head(1) does. */
const leaveQuietly = (error: NodeJS.ErrnoException): void => {
  process.exit(error.code === "EPIPE" ? exitCodes.signaled + 13 : exitCodes.failed);
};

const main = async (): Promise<number> => {
  const session: Session = { exitCode: exitCodes.ok, runsCommand: false };
  const program = buildProgram(session, version);
  const withExits = (command: typeof program): void => {
    command.exitOverride();
    for (const each of command.commands) withExits(each as typeof program);
  };
  withExits(program);
  try {
    await program.parseAsync(process.argv);
    return session.exitCode;
  } catch (error) {
    // Help and version end this way too; what was wrong has been said.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    return tellFailure(error, { json: program.opts()["json"] === true, runsCommand: session.runsCommand });
  }
};

process.stdout.on("error", leaveQuietly);
process.stderr.on("error", leaveQuietly);
// What stays open, such as stdin or an idle connection, holds nothing up.
process.exitCode = await main();
if (process.stdout.writableLength > 0) await new Promise((resolve) => process.stdout.once("drain", resolve));
process.exit();
