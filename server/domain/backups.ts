/** A copy of the database. Times are milliseconds since 1970. */
export interface Backup {
  path: string;
  bytes: number;
  createdAt: number;
  durationMs: number;
}

/** Copies the database while it is in use. */
export interface Backups {
  /** Resolves when the copy is whole, checked and on the disk. @throws DomainError `no-space` */
  make(): Promise<Backup>;
}
