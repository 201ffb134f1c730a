#include "ring.h"

#include <stdlib.h>
#include <string.h>

void ring_init(struct ring *ring, size_t limit) {
  *ring = (struct ring){.limit = limit, .first = 1, .next = 1};
}

void ring_free(struct ring *ring) {
  free(ring->data);
  ring->data = NULL;
  ring->capacity = ring->used = 0;
}

static void copy_in(struct ring *ring, size_t offset, const void *from, size_t length) {
  offset %= ring->capacity;
  size_t piece = ring->capacity - offset < length ? ring->capacity - offset : length;
  memcpy(ring->data + offset, from, piece);
  memcpy(ring->data, (const char *)from + piece, length - piece);
}

static void copy_out(const struct ring *ring, size_t offset, void *to, size_t length) {
  offset %= ring->capacity;
  size_t piece = ring->capacity - offset < length ? ring->capacity - offset : length;
  memcpy(to, ring->data + offset, piece);
  memcpy((char *)to + piece, ring->data, length - piece);
}

static void drop_oldest(struct ring *ring) {
  struct record record;
  copy_out(ring, ring->head, &record, sizeof record);
  size_t size = sizeof record + record.length;
  ring->head = (ring->head + size) % ring->capacity;
  ring->used -= size;
  ring->first++;
  ring->dropped_bytes += record.length;
}

void ring_clear(struct ring *ring) {
  while (ring->used)
    drop_oldest(ring);
  ring->seek_number = 0;
  ring_free(ring);
}

/* Doubles the memory, up to the limit, and lays the records out from offset 0. */
static bool grow(struct ring *ring, size_t needed) {
  size_t capacity = ring->capacity ? ring->capacity : 4096;
  while (capacity < needed)
    capacity *= 2;
  if (capacity > ring->limit)
    capacity = ring->limit;
  char *data = malloc(capacity);
  if (!data)
    return false;
  if (ring->capacity)
    copy_out(ring, ring->head, data, ring->used);
  free(ring->data);
  ring->data = data;
  ring->capacity = capacity;
  ring->head = 0;
  ring->seek_number = 0;
  return true;
}

bool ring_add(struct ring *ring, uint32_t stream, uint64_t time_us, const void *bytes, size_t length) {
  struct record record = {.time_us = time_us, .length = (uint32_t)length, .stream = stream};
  size_t size = sizeof record + length;
  if (size > ring->limit || (ring->used + size > ring->capacity && ring->capacity < ring->limit && !grow(ring, ring->used + size))) {
    /* Numbers go on, so that a reader sees a gap and never a lie. */
    ring_clear(ring);
    ring->next++;
    ring->first = ring->next;
    ring->dropped_bytes += length;
    return false;
  }
  while (ring->used + size > ring->capacity)
    drop_oldest(ring);
  copy_in(ring, ring->head + ring->used, &record, sizeof record);
  copy_in(ring, ring->head + ring->used + sizeof record, bytes, length);
  ring->used += size;
  ring->next++;
  return true;
}

void ring_read(struct ring *ring, uint64_t after, ring_take *take, void *context) {
  uint64_t number = ring->first;
  size_t offset = ring->head;
  if (ring->seek_number >= number && ring->seek_number <= after + 1) {
    number = ring->seek_number;
    offset = ring->seek_offset;
  }
  for (; number < ring->next; number++) {
    struct record record;
    copy_out(ring, offset, &record, sizeof record);
    size_t start = (offset + sizeof record) % ring->capacity;
    size_t piece = ring->capacity - start < record.length ? ring->capacity - start : record.length;
    if (number > after && !take(context, number, &record, ring->data + start, piece, ring->data))
      break;
    offset = (offset + sizeof record + record.length) % ring->capacity;
  }
  ring->seek_number = number;
  ring->seek_offset = offset;
}
