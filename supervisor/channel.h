/* What lies between a supervisor and a shell inside: notes (SOCK_SEQPACKET), a pipe for a failure, and the command's stdio. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <stdint.h>

/* The shell's notes, one packet each. After NOTE_MAIN the writer runs beside hostile code, so the reader trusts the size and the kind alone. */
enum note_kind { NOTE_PREPARED = 1, NOTE_TERMINAL, NOTE_MAIN, NOTE_ENDED };
struct note {
  uint32_t kind;
  int32_t status; /* NOTE_ENDED: as wait4(2) gives it */
  uint64_t user_us, system_us, max_rss_bytes;
};

/* One side's descriptors; -1: not open. `failures` carries a struct failure, or ends when the command executes. */
struct channel {
  int notes, failures, input, output, errors;
};
#define CHANNEL_CLOSED ((struct channel){-1, -1, -1, -1, -1})

/* Answers -1 with errno, and both sides closed, on failure. */
int channel_open(struct channel *supervisor, struct channel *shell);
void channel_close(struct channel *side);
void fd_close(int *fd);

/* The shell's end: sends a note, with a descriptor where `fd` is not -1. */
int note_send(int notes, enum note_kind kind, int fd);
/* The supervisor's end. `fd` takes a descriptor that came along, or -1. Answers 1; 0 at the end; -1 with errno, EPROTO for another form. */
int note_receive(int notes, struct note *note, int *fd, int flags);

/* The supervisor lets the shell go on, and may hand it two descriptors. */
int word_send(int notes, const int *fds, int count);
/* Waits for it; answers how many descriptors came, -1 when the supervisor is gone. */
int word_await(int notes, int fds[2]);

#endif
