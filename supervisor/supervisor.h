/* The process that guards one running sandbox, from its launch until RELEASE. */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "instance.h"

/* What a child of the launcher says to it over its control socket, one packet each. */
enum control_kind { CONTROL_READY = 1, CONTROL_REPLY };
struct control {
  uint32_t kind;
  uint32_t slot;
  char frame[16384]; /* CONTROL_REPLY: as much of it as the packet brings; the request is filled in by the launcher */
};
/* Sends a packet with the frame (may be NULL) and frees it. */
void control_send(int control, enum control_kind kind, unsigned slot, struct frame *frame);

struct supervisor_order {
  const struct host *host;
  struct order *order;
  int control;
  unsigned slot, isolate;
  bool ready; /* prepare, say so and wait; else the order is there already */
};
_Noreturn void supervisor_run(const struct supervisor_order *order);

#endif
