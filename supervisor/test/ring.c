/* The ring of output records, by hand and against a model that keeps every record in a list. */
#include "ring.h"
#include "check.h"

#define MODEL_RECORDS 20000u
#define SEED 20251124u

struct seen {
  uint64_t first, last, bytes;
  unsigned count, stop_after; /* 0: never */
  bool right;
};

static uint32_t random_state = SEED;
static uint32_t next_random(void) { /* xorshift32, the same run each time */
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

/* What record `number` holds follows from its number, so a reader can judge any record by itself. */
static unsigned char byte_of(uint64_t number, uint32_t at) {
  return (unsigned char)(number * 31 + at * 7 + (at >> 8));
}

static uint32_t *lengths; /* of every record ever added, by number */

static bool take(void *context, uint64_t number, const struct record *record, const char *piece, size_t piece_length, const char *rest) {
  struct seen *seen = context;
  if (seen->stop_after && seen->count == seen->stop_after)
    return false;
  seen->right &= seen->count == 0 || number == seen->last + 1;
  seen->right &= record->length == lengths[number] && record->time_us == number * 10 && record->stream == 1 + number % 2;
  seen->right &= piece_length <= record->length;
  for (uint32_t i = 0; i < record->length; i++)
    seen->right &= (unsigned char)(i < piece_length ? piece[i] : rest[i - piece_length]) == byte_of(number, i);
  seen->first = seen->count == 0 ? number : seen->first;
  seen->last = number;
  seen->bytes += record->length;
  seen->count++;
  return true;
}

static struct seen look(struct ring *ring, uint64_t after, unsigned stop_after) {
  struct seen seen = {.right = true, .stop_after = stop_after};
  ring_read(ring, after, take, &seen);
  return seen;
}

static bool add(struct ring *ring, uint32_t length) {
  uint64_t number = ring->next;
  char *bytes = malloc(length ? length : 1); /* of the exact size, for ASan */
  NEED(bytes);
  for (uint32_t i = 0; i < length; i++)
    bytes[i] = (char)byte_of(number, i);
  lengths[number] = length;
  bool added = ring_add(ring, (uint32_t)(1 + number % 2), number * 10, bytes, length);
  free(bytes);
  return added;
}

static void test_empty(void) {
  struct ring ring;
  ring_init(&ring, 4096);
  CHECK(look(&ring, 0, 0).count == 0 && look(&ring, 1000, 0).count == 0, "nothing to read");
  CHECK(ring.first == 1 && ring.next == 1 && ring.dropped_bytes == 0 && ring.capacity == 0, "no memory before the first byte");
  CHECK(add(&ring, 0) && look(&ring, 0, 0).count == 1, "a record without bytes");
  ring_free(&ring);
}

static void test_growth(void) {
  struct ring ring;
  ring_init(&ring, 100000);
  for (int i = 0; i < 90; i++)
    CHECK(add(&ring, 1000), "record %d", i);
  struct seen seen = look(&ring, 0, 0);
  CHECK(seen.right && seen.count == 90 && seen.first == 1 && ring.dropped_bytes == 0, "all kept while below the limit");
  CHECK(ring.capacity <= 100000, "never more than the limit: %zu", ring.capacity);
  ring_free(&ring);
}

static void test_drop(void) {
  struct ring ring;
  ring_init(&ring, 10000);
  for (int i = 0; i < 1000; i++)
    add(&ring, 977);
  struct seen seen = look(&ring, 0, 0);
  CHECK(seen.right && seen.last == 1000 && seen.count == 10000 / (977 + sizeof(struct record)), "the newest %u", seen.count);
  CHECK(seen.first == ring.first && ring.dropped_bytes == 977 * (ring.first - 1), "what is gone is counted");
  CHECK(look(&ring, 998, 0).count == 2 && look(&ring, 1000, 0).count == 0, "after a number");
  ring_free(&ring);
}

static void test_too_large(void) {
  struct ring ring;
  ring_init(&ring, 4096);
  add(&ring, 100);
  CHECK(!add(&ring, 4096), "larger than all of it");
  CHECK(ring.first == 3 && ring.next == 3 && ring.dropped_bytes == 4196, "numbers go on, all is counted as dropped");
  CHECK(add(&ring, 4096 - sizeof(struct record)), "exactly the limit");
  struct seen seen = look(&ring, 0, 0);
  CHECK(seen.right && seen.count == 1 && seen.first == 3, "and it can be read");
  ring_free(&ring);
}

static void test_seek(void) {
  struct ring ring;
  ring_init(&ring, 50000);
  for (int i = 0; i < 40; i++)
    add(&ring, 500);
  uint64_t after = 0;
  for (struct seen seen; (seen = look(&ring, after, 3)).count > 0; after = seen.last)
    CHECK(seen.right && seen.first == after + 1, "in steps, after %llu", (unsigned long long)after);
  CHECK(after == 40, "to the end");
  CHECK(look(&ring, 5, 1).first == 6, "back again: the place remembered is no obstacle");
  add(&ring, 30000); /* grows or drops: the offset remembered is of no use now */
  struct seen seen = look(&ring, 40, 0);
  CHECK(seen.right && seen.count == 1 && seen.first == 41, "after a new layout");
  ring_free(&ring);
}

/* The model: the oldest go until what is left fits. */
static void test_model(size_t limit, uint32_t longest) {
  struct ring ring;
  uint64_t first = 1, dropped = 0;
  size_t used = 0;
  ring_init(&ring, limit);
  for (uint64_t number = 1; number < MODEL_RECORDS; number++) {
    uint32_t length = next_random() % (longest + 1);
    size_t size = length + sizeof(struct record);
    add(&ring, length);
    used += size;
    while (used > limit) {
      used -= lengths[first] + sizeof(struct record);
      dropped += lengths[first++];
    }
    if (ring.first != first || ring.next != number + 1 || ring.used != used || ring.dropped_bytes != dropped) {
      CHECK(false, "record %llu: first %llu, expected %llu", (unsigned long long)number, (unsigned long long)ring.first, (unsigned long long)first);
      break;
    }
    if (next_random() % 16 == 0) {
      uint64_t after = first - 1 + next_random() % (number - first + 2);
      unsigned stop_after = next_random() % 8;
      struct seen seen = look(&ring, after, stop_after);
      uint64_t there = number - after;
      if (!seen.right || seen.count != (stop_after && stop_after < there ? stop_after : there) || (seen.count && seen.first != after + 1)) {
        CHECK(false, "reading after %llu of %llu..%llu", (unsigned long long)after, (unsigned long long)first, (unsigned long long)number);
        break;
      }
    }
  }
  CHECK(look(&ring, 0, 0).right, "limit %zu, records up to %u", limit, longest);
  ring_free(&ring);
}

static void test_clear(void) {
  struct ring ring;
  ring_init(&ring, 4096);
  ring_add(&ring, 1, 1, "one", 3);
  ring_add(&ring, 1, 2, "two", 3);
  ring_clear(&ring);
  CHECK(ring.used == 0 && ring.capacity == 0 && ring.first == 3 && ring.next == 3 && ring.dropped_bytes == 6, "first %llu, dropped %llu",
        (unsigned long long)ring.first, (unsigned long long)ring.dropped_bytes);
  CHECK(ring_add(&ring, 2, 3, "three", 5) && ring.first == 3 && ring.next == 4 && ring.used == 5 + sizeof(struct record), "it goes on");
  ring_free(&ring);
}

int main(void) {
  lengths = calloc(MODEL_RECORDS + 1000, sizeof *lengths);
  NEED(lengths);
  test_empty();
  test_growth();
  test_drop();
  test_too_large();
  test_clear();
  test_seek();
  test_model(4096, 200);
  test_model(5003, 4000);
  test_model(65537, 3000);
  free(lengths);
  return check_end("ring");
}
