import { expect, test } from "vitest";
import { deadlines, facts, lifecycle, maybeAlive, type State, states, verbs } from "../../server/domain/lifecycle.ts";

/** Every cell: a state to go to, or what happens instead. */
const expected: Record<State, Record<string, string>> = {
  created: cells("starting stay stay refuse refuse remove", "ignore ignore ignore ignore ignore ignore ignore ignore stopping"),
  starting: cells("wait wait wait refuse refuse wait", "running failed ignore ignore failed failed failed ignore stopping"),
  running: cells("stay stopping stopping paused stay stopping", "ignore ignore stopping stopped failed failed ignore ignore stopping"),
  paused: cells("refuse stopping stopping stay running stopping", "ignore ignore stopping stopped failed failed ignore ignore stopping"),
  stopping: cells("refuse stay stay refuse refuse stay", "ignore ignore stay stopped failed failed failed ignore stopping"),
  stopped: cells("starting stay stay refuse refuse remove", "ignore ignore ignore ignore ignore ignore ignore failed stopping"),
  failed: cells("starting stay stay refuse refuse remove", "ignore ignore ignore ignore ignore ignore ignore ignore stopping"),
};

function cells(ofVerbs: string, ofFacts: string): Record<string, string> {
  const words = [...ofVerbs.split(" "), ...ofFacts.split(" ")];
  return Object.fromEntries([...verbs, ...facts].map((event, index) => [event, words[index] as string]));
}

for (const state of states) {
  for (const event of [...verbs, ...facts]) {
    test(`${state}, ${event}: ${expected[state][event]}`, () => {
      const outcome = lifecycle[state][event];
      expect(outcome.act === "to" ? outcome.state : outcome.act).toBe(expected[state][event]);
    });
  }
}

test.each(states)("kill, stop and delete are never refused in %s", (state) => {
  for (const verb of ["kill", "stop", "delete"] as const) expect(lifecycle[state][verb].act).not.toBe("refuse");
});

test.each(states)("%s has a deadline when it must pass", (state) => {
  expect(deadlines[state] !== null).toBe(state === "starting" || state === "stopping");
});

test.each(states)("whatever may be alive in %s leaves by gone, lost and a reboot, or not at all", (state) => {
  const leaves = lifecycle[state].lost.act === "to" && lifecycle[state].rebooted.act === "to";
  expect(leaves).toBe(maybeAlive(state));
});
