import { describe, expect, it } from "vitest";
import { DebootstrapProgress, type DebootstrapState } from "../../server/host/debootstrap-progress.ts";

const fed = (...lines: string[]): { progress: DebootstrapProgress; states: DebootstrapState[] } => {
  const progress = new DebootstrapProgress();
  const states: DebootstrapState[] = [];
  for (const line of lines) if (progress.feed(line)) states.push({ ...progress.state });
  return { progress, states };
};

describe("what debootstrap says of its progress", () => {
  it("becomes a step, a part of the whole and the package at hand", () => {
    const { states } = fed(
      "P: 0 200 DOWNDEBS",
      "PF: Downloading packages",
      "I: RETRIEVING",
      "IA: libc6",
      "IA: 2.36-9",
      "IF: Retrieving %s %s",
      "P: 100 200",
      "P: 200 200 DOWNDEBS",
      "P: 44 88 EXTRACTPKGS",
    );
    expect(states.map((state) => [state.phase, Number(state.progress.toFixed(3)), state.message])).toEqual([
      ["retrieving packages", 0.12, ""],
      ["retrieving packages", 0.12, "Retrieving libc6 2.36-9"],
      ["retrieving packages", 0.235, "Retrieving libc6 2.36-9"],
      ["retrieving packages", 0.35, "Retrieving libc6 2.36-9"],
      ["extracting packages", 0.415, ""],
    ]);
  });

  it("never goes backwards, and stays within its step", () => {
    const { states } = fed("P: 90 100 CONFREQ", "P: 0 100 CONFREQ", "P: 500 100 CONFREQ", "P: 0 0 CONFREQ", "P: 0 88 SIZEDEBS");
    expect(states.map((state) => Number(state.progress.toFixed(3)))).toEqual([0.788, 0.788, 0.8, 0.8, 0.8]);
  });

  it("keeps errors, with their arguments, and ignores what it does not know", () => {
    const { progress } = fed(
      "E: COULDNTDL",
      "EA: http://a/Release",
      "EF: Couldn't download %s",
      "P: x y",
      "P: 1 2 NEWSTEP",
      "",
      "\u0000garbage",
      "I:",
      "W: X",
      "WF: a warning",
    );
    expect(progress.errors).toEqual(["Couldn't download http://a/Release"]);
    expect(progress.state).toMatchObject({ phase: "starting", progress: 0, message: "a warning" });
  });
});
