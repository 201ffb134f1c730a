/* The event loop of launcher and supervisor: epoll(7), one event at a time, so that a handler may free any watch. */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct watch {
  int fd;
  uint32_t events;
  void (*ready)(struct watch *watch, uint32_t events);
  void *owner, *context;
};

struct loop {
  int epoll;
  struct watch *paused; /* NULL: none */
  uint32_t paused_events;
  uint64_t resume_us;
};

int loop_open(struct loop *loop);
int loop_add(struct loop *loop, struct watch *watch, uint32_t events);
/* Changes what is waited for; nothing happens when it is so already. */
int loop_change(struct loop *loop, struct watch *watch, uint32_t events);
/* Asks for nothing of it for a tenth of a second: what is ready cannot be taken now, for want of descriptors or memory. One at a time. */
void loop_pause(struct loop *loop, struct watch *watch);
/* Stops watching; the descriptor stays open. */
void loop_remove(struct loop *loop, struct watch *watch);
/* Stops watching and closes the descriptor, if there is one. */
void loop_close(struct loop *loop, struct watch *watch);
/* Waits at most `timeout_ms` (-1: for ever) for one event and handles it. Answers how many came, 0 or 1. */
int loop_once(struct loop *loop, int timeout_ms);
/* CLOCK_MONOTONIC in microseconds. */
uint64_t now_us(void);

#endif
