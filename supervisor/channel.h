/* What lies between a supervisor and a shell inside: notes (SOCK_SEQPACKET), a pipe for a failure, one for the init's last word, and the command's stdio.
 *
 * Whoever has the other end may do with it what the code here would not: whatever comes is checked for its form, taken as often as it is due, and read
 * without waiting. A descriptor that is not wanted may be one whose close(2) lingers (socket(7), SO_LINGER), so none is taken by a channel that outlives the
 * start, and those that come uninvited are discarded. PROTOCOL.md, "What comes from inside", has the table. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include "failure.h"

#include <stdint.h>
#include <sys/types.h>

/* The shell's notes, one packet each; with NOTE_TERMINAL and NOTE_MAIN comes a descriptor. */
enum note_kind { NOTE_PREPARED = 1, NOTE_TERMINAL, NOTE_MAIN };
struct note {
  uint32_t kind;
};

/* What the init has to say once: how the command ended. */
struct last_word {
  int32_t status; /* as wait4(2) gives it */
  uint64_t user_us, system_us, max_rss_bytes;
};

/* One side's descriptors; -1: not open. `failures` carries a struct failure, or ends when the command executes; `last` a struct last_word. */
struct channel {
  int notes, failures, last, input, output, errors;
};
#define CHANNEL_CLOSED ((struct channel){-1, -1, -1, -1, -1, -1})

/* Answers -1 with errno, and both sides closed, on failure. */
int channel_open(struct channel *supervisor, struct channel *shell);
/* Makes the command's stdio its user's own, as a terminal is: what is not his he could use, but not open again by /dev/stdout. Each
 * pipe is of this channel alone, so nothing of anybody else's changes its owner. Answers -1 with errno. */
int channel_give(const struct channel *side, uid_t uid, gid_t gid);
void channel_close(struct channel *side);
void fd_close(int *fd);
/* Closes what came from inside and is not wanted, without waiting for what a socket still has to send. */
void fd_discard(int *fd);
/* Closes the supervisor's end, with all that lies unread in it. */
void notes_close(int *notes);

/* The shell's end: sends a note, with a descriptor where `fd` is not -1. */
int note_send(int notes, enum note_kind kind, int fd);
/* The supervisor's end. `fd` takes a descriptor that came along, or -1. Answers 1; 0 at the end; -1 with errno, EPROTO for another form. */
int note_receive(int notes, struct note *note, int *fd, int flags);
/* The supervisor's end of `failures`: answers 1 with the failure; 0 at the end; -1 with errno, EAGAIN when there is nothing, EPROTO for another form. */
int failure_receive(int failures, struct failure *failure);
/* And of `last`. What no wait4(2) could give is another form; figures beyond belief become the most that is believed. */
int last_word_receive(int last, struct last_word *word);

/* The supervisor lets the shell go on, and may hand it two descriptors. */
int word_send(int notes, const int *fds, int count);
/* Waits for it; answers how many descriptors came, -1 when the supervisor is gone. */
int word_await(int notes, int fds[2]);

#endif
