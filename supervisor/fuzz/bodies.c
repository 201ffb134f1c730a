/* Bodies of frames: their form, and the definitions that LAUNCH, EXEC and LIMIT make of them. */
#include "fuzz.h"
#include "../definition.h"

/* Every text of a definition lies in the body and ends there. */
static void read_text(const struct fields *fields, const char *text) {
  if (text)
    HOLDS(text >= fields->start && text + strlen(text) < fields->end);
}

static void read_all(const struct fields *fields, const struct definition *definition) {
  read_text(fields, definition->id);
  read_text(fields, definition->root);
  read_text(fields, definition->cwd);
  read_text(fields, definition->hostname);
  for (char *const *argument = definition->arguments; *argument; argument++)
    read_text(fields, *argument);
  for (char *const *variable = definition->environment; *variable; variable++)
    read_text(fields, *variable);
}

/* What no LAUNCH may ask for, whatever it looks like. */
static void check_launch(const struct definition *definition) {
  bool user = definition->isolate & NS_BIT(NS_USER), mount = definition->isolate & NS_BIT(NS_MNT);
  HOLDS(user || (mount && !definition->capabilities));
  HOLDS(mount == (definition->root != NULL));
  HOLDS(definition->hold ? !definition->arguments[0] : definition->arguments[0] && definition->arguments[0][0]);
  HOLDS(definition->cwd[0] == '/' && definition->uid < ID_RANGE && definition->gid < ID_RANGE && definition->open_files > 0);
  HOLDS(strlen(definition->id) < NAME_SIZE && !strchr(definition->id, '/') && !strchr(definition->id, '.'));
}

/* Written again, the fields are the same bytes. */
static void check_copy(const struct fields *fields) {
  struct frame frame;
  frame_begin(&frame, DONE, 1);
  for (const char *field = NULL; (field = fields_next(fields, field));) {
    char key[33] = "";
    memcpy(key, field, strcspn(field, "="));
    frame_put(&frame, key, "%s", strchr(field, '=') + 1);
  }
  frame_end(&frame);
  size_t length = (size_t)(fields->end - fields->start);
  HOLDS(frame.length == sizeof(struct wire_header) + length && memcmp(frame.data + sizeof(struct wire_header), fields->start, length) == 0);
  frame_free(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct definition definition;
  struct fields fields;
  char error[128];
  if (!fields_open(&fields, (const char *)data, size))
    return 0;
  HOLDS(fields.end <= (const char *)data + size && fields.payload + fields.payload_length == (const char *)data + size);
  check_copy(&fields);
  if (definition_read(&definition, &fields, error)) {
    read_all(&fields, &definition);
    check_launch(&definition);
  }
  memset(&definition, 0, sizeof definition);
  if (definition_read_exec(&definition, &fields, error))
    read_all(&fields, &definition);
  if (fields_check(&fields, limit_rules, error))
    definition_read_limits(&definition, &fields);
  return 0;
}
