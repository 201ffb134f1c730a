import { expect, it } from "vitest";
import { ActivationError, activatedSocket } from "../../../server/host/activation.ts";

it("takes the one socket that was handed to this process", () => {
  expect(activatedSocket({ LISTEN_PID: "7", LISTEN_FDS: "1" }, 7)).toBe(3);
});

it("takes none where there is none, or it is for another process", () => {
  expect(activatedSocket({}, 7)).toBeNull();
  expect(activatedSocket({ LISTEN_PID: "8", LISTEN_FDS: "1" }, 7)).toBeNull();
  expect(activatedSocket({ LISTEN_PID: "7", LISTEN_FDS: "0" }, 7)).toBeNull();
});

it("refuses several", () => {
  expect(() => activatedSocket({ LISTEN_PID: "7", LISTEN_FDS: "2" }, 7)).toThrow(ActivationError);
});
