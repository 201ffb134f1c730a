/* A process with a child and threads, for the host to look at; says one line and stays. */
#include "probe.h"

#include <pthread.h>

static void *stay(void *unused) {
  for (;;)
    pause();
  return unused;
}

int main(void) {
  pthread_t thread;
  for (int i = 0; i < 3; i++)
    if (pthread_create(&thread, NULL, stay, NULL) != 0)
      return 1;
  if (fork() == 0)
    stay(NULL);
  say("ready", "threads");
  stay(NULL);
}
