#include "loop.h"

#include <time.h>
#include <unistd.h>

#define PAUSE_US 100000

int loop_open(struct loop *loop) {
  loop->paused = NULL;
  loop->epoll = epoll_create1(EPOLL_CLOEXEC);
  return loop->epoll < 0 ? -1 : 0;
}

int loop_add(struct loop *loop, struct watch *watch, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = watch};
  watch->events = events;
  return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event);
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events) {
  if (watch->fd < 0 || watch->events == events)
    return 0;
  struct epoll_event event = {.events = events, .data.ptr = watch};
  watch->events = events;
  return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_remove(struct loop *loop, struct watch *watch) {
  epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
}

void loop_pause(struct loop *loop, struct watch *watch) {
  uint32_t events = watch->events;
  if (loop->paused || loop_change(loop, watch, 0) < 0)
    return;
  loop->paused = watch;
  loop->paused_events = events;
  loop->resume_us = now_us() + PAUSE_US;
}

/* Milliseconds that may be waited, with regard to what is paused. */
static int resume(struct loop *loop, int timeout_ms) {
  uint64_t now = now_us();
  if (loop->resume_us > now) {
    int left = (int)((loop->resume_us - now + 999) / 1000);
    return timeout_ms < 0 || left < timeout_ms ? left : timeout_ms;
  }
  loop_change(loop, loop->paused, loop->paused_events);
  loop->paused = NULL;
  return timeout_ms;
}

void loop_close(struct loop *loop, struct watch *watch) {
  if (watch->fd < 0)
    return;
  if (loop->paused == watch)
    loop->paused = NULL;
  /* A duplicate elsewhere (in a forked child) would keep the entry alive, so it is removed by name. */
  epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
  close(watch->fd);
  watch->fd = -1;
}

int loop_once(struct loop *loop, int timeout_ms) {
  struct epoll_event event;
  int count = epoll_wait(loop->epoll, &event, 1, loop->paused ? resume(loop, timeout_ms) : timeout_ms);
  if (count == 1) {
    struct watch *watch = event.data.ptr;
    watch->ready(watch, event.events);
  }
  return count == 1;
}

uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
