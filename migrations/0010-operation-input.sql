-- What an operation needs to be gone on with by the next daemon: JSON; null where it cannot be.
ALTER TABLE operations ADD COLUMN input TEXT;
