/** Runs other programs (execa). Its hundred modules are read when the first of them runs: most daemons never need one, and all start sooner. */
export const programs = async (): Promise<typeof import("execa")> => import("execa");
