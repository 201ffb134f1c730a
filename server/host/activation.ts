/** The first descriptor that a service manager hands over (sd_listen_fds(3)). */
const firstDescriptor = 3;

/** The environment asks for something that cannot be. */
export class ActivationError extends Error {}

/**
 * The descriptor of the listening socket that a service manager has made for this process, or null (sd_listen_fds(3)).
 * @throws ActivationError when there are several
 */
export const activatedSocket = (environment: NodeJS.ProcessEnv, pid: number): number | null => {
  const { LISTEN_PID: owner, LISTEN_FDS: count } = environment;
  if (owner !== String(pid) || count === undefined || count === "0") return null;
  if (count !== "1") throw new ActivationError(`${count} sockets were handed over, where the daemon takes one: the unix socket of its API`);
  return firstDescriptor;
};
