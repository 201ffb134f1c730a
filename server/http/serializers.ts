import SerializerSelector from "@fastify/fast-json-stringify-compiler";

/** Few of the answers of all routes are ever given: a start that compiles none of them is a quarter shorter. */
const onFirstUse = (compile: () => SerializerSelector.Serializer): SerializerSelector.Serializer => {
  let serializer: SerializerSelector.Serializer | null = null;
  return (data) => {
    serializer ??= compile();
    return serializer(data);
  };
};

/**
 * Fastify asks for a serializer for each answer of each route, and of the HEAD beside each GET. Those of equal schemas, such as the
 * report that a dozen routes answer, are one here.
 */
export const buildSerializer: SerializerSelector.SerializerFactory = (externalSchemas, options) => {
  const compile = SerializerSelector()(externalSchemas, options);
  const made = new Map<string, SerializerSelector.Serializer>();
  return (route) => {
    const text = JSON.stringify(route.schema);
    const serializer = made.get(text) ?? onFirstUse(() => compile(route));
    made.set(text, serializer);
    return serializer;
  };
};
