/* Lets two names change places, pair by pair, as fast as it goes. usage: exchange A B [A B]... */
#include "probe.h"

#include <fcntl.h>

int main(int count, char **arguments) {
  say("yes", "exchanging");
  for (;;)
    for (int i = 1; i + 1 < count; i += 2)
      renameat2(AT_FDCWD, arguments[i], AT_FDCWD, arguments[i + 1], RENAME_EXCHANGE);
}
